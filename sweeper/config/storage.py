"""`storage:` of a search-space file: the URL of the study, and its password, which no file of ours keeps."""

from __future__ import annotations

import os
import re
from typing import Final

from sweeper.errors import ConfigError

MASK: Final = "***"
VARIABLE: Final = "SWEEPER_STORAGE"
"""Environment variable with the whole URL, for a sweep whose sweep.yaml holds a masked one."""
SECRETS: Final = re.compile(r"([?&][^=&]*(?:pass|pwd|secret|token|key)[^=&]*=)[^&]*", re.IGNORECASE)
"""Arguments of a URL that may hold a password."""


def mask_password(url: str) -> str:
    """A storage URL without its password.

    >>> mask_password("postgresql://me:a@b/c@db.example/sweeps?sslpassword=x&connect_timeout=5")
    'postgresql://me:***@db.example/sweeps?sslpassword=***&connect_timeout=5'
    >>> mask_password("sqlite:////data/a@b:c.db")
    'sqlite:////data/a@b:c.db'
    """
    scheme, separator, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    if at and colon and "/" not in user:
        rest = f"{user}:{MASK}@{place}"
    return SECRETS.sub(rf"\1{MASK}", f"{scheme}{separator}{rest}")


def hide_password(text: str, url: str) -> str:
    """A text of another's, such as an error, without the password of a URL.

    >>> hide_password("cannot reach postgresql://me:pw@db/x as me with pw", "postgresql://me:pw@db/x")
    'cannot reach postgresql://me:***@db/x as me with ***'
    """
    text = text.replace(url, mask_password(url))
    account = url.partition("://")[2].rpartition("@")[0]
    password = account.partition(":")[2]
    return text.replace(password, MASK) if password else text


def whole_url(url: str, given: str | None) -> str:
    """The storage's URL with its password: as it is, or, where it is masked, as it is given again.

    Args:
        url: of the configuration, perhaps masked.
        given: by `--storage`; None takes the environment variable.

    Raises:
        ConfigError: the password is needed again, or the study would be in memory.
    """
    if re.fullmatch(r"sqlite(\+\w+)?:/*(:memory:)?(\?.*)?", url):
        raise ConfigError(f"`storage` must be a file or a server, because a sweep in memory is lost, but got {url}")
    if MASK not in url:
        return url
    again = given or os.environ.get(VARIABLE)
    if not again:
        raise ConfigError(
            f"`storage` is {url}, and its password is not stored: give the whole URL again with --storage or in the "
            f"environment variable {VARIABLE}"
        )
    return again
