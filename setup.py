"""The packages: search_spaces/ is installed as sweeper/examples. Everything else is in pyproject.toml."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=["sweeper", "sweeper.*", "trainers", "trainers.*", "analysis", "analysis.*"]),
        "sweeper.examples",
    ],
    package_dir={"sweeper.examples": "search_spaces"},
)
