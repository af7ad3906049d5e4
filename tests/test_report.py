"""The report: all documented files, a page without external resources, correct sentences, and very small sweeps."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas import DataFrame
from rich.console import Console
from simulated import World, simulate, three_methods, write_sweep

from analysis.data.columns import ResultsUnreadable
from analysis.data.load import load
from analysis.report.html import Section, make_page
from analysis.report.tables import TextTable, to_latex, to_markdown
from analysis.report.write import Report, analyze
from analysis.stats.audit import audit
from analysis.stats.cost import cost
from analysis.stats.hyperparameters import partial
from analysis.stats.layers import layers_of
from analysis.stats.ranking import kendall
from analysis.text.cautions import about_doubt, across, cautions, of_each_sweep
from analysis.text.findings import comparisons, costs, earliest_epochs, relation, selection
from analysis.text.pruning_findings import pruning_as_it_ran, replayed_pruners

pytestmark = pytest.mark.slow

RANKING = {"sweep", "criterion", "n", "tau", "tau_low", "tau_high", "tau_p", "rho"}
SELECTION = {"sweep", "criterion", "trial", "oracle", "best_oracle", "regret"}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    results = tmp_path_factory.mktemp("results")
    three_methods(results, trials=12, epochs=4)
    return results, analyze([results])


def shown(report: Report, width: int = 160) -> str:
    console = Console(width=width, file=io.StringIO())
    with console.capture() as capture:
        console.print(report.terminal)
    return capture.get()


def test_the_files_of_the_contract_are_there(three: tuple[Path, Report]) -> None:
    results, report = three
    for folder in (results / "dino" / "analysis", results / "analysis"):
        ranking, selection = pd.read_csv(folder / "ranking.csv"), pd.read_csv(folder / "selection.csv")
        assert set(ranking.columns) >= RANKING
        assert set(selection.columns) >= SELECTION
        for table in (ranking, selection):
            assert not table.duplicated(["sweep", "criterion"]).any()
            assert len(table) == 7 * table["sweep"].nunique()
        for name in ("report.md", "report.html", "figures", "comparison.csv", "selection_by_hyperparameter.csv"):
            assert (folder / name).exists()
        assert list((folder / "figures").glob("*.png"))
    assert (results / "dino" / "analysis" / "by_epoch.csv").exists()
    assert report.folder == results / "analysis"
    assert len(report.folders) == 4


def test_the_numbers_of_the_files_are_those_of_the_data(three: tuple[Path, Report]) -> None:
    results, report = three
    trials = pd.read_parquet(results / "dino" / "trials.parquet")
    row = pd.read_csv(results / "dino" / "analysis" / "selection.csv").set_index("criterion").loc["rankme"]
    chosen = trials.loc[trials["rankme"].idxmax()]
    assert row["trial"] == chosen["trial"]
    assert row["regret"] == pytest.approx(trials["oracle"].max() - chosen["oracle"])
    whole = pd.read_csv(results / "analysis" / "ranking.csv")
    pd.testing.assert_frame_equal(
        whole.drop(columns="known_from"), report.ranking.drop(columns="known_from"), check_dtype=False
    )


class Loads(HTMLParser):
    """Collects the resources that a page would load, and the tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.titles = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "path", "rect", "use", "br"):
            self.open.append(tag)
        self.titles += tag == "title"
        for name, value in attrs:
            if (
                name in ("src", "srcset", "data")
                or (tag == "link")
                or (tag == "use" and not str(value).startswith("#") and "href" in name)
            ):
                self.loads.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_the_page_is_one_file_that_loads_nothing(three: tuple[Path, Report]) -> None:
    results, _ = three
    for path in (results / "dino" / "analysis" / "report.html", results / "analysis" / "report.html"):
        text = path.read_text(encoding="utf-8")
        page = Loads()
        page.feed(text)
        assert page.loads == []
        assert page.open == []
        assert "@import" not in text
        assert not re.search(r"url\((?!#)", text)
        addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
        assert all(address.startswith("http://www.w3.org/") for address in addresses)  # names of XML vocabularies
        assert "prefers-color-scheme" in text
        assert "@media print" in text
        assert 'name="viewport"' in text


def test_the_report_over_all_leads_to_each(three: tuple[Path, Report]) -> None:
    results, _ = three
    text = (results / "analysis" / "report.html").read_text(encoding="utf-8")
    targets = re.findall(r'<a href="([^"#]+)"', text)
    assert len(targets) == 3
    assert all((results / "analysis" / target).resolve().is_file() for target in targets)


def test_the_markdown_report_shows_pictures_that_exist(three: tuple[Path, Report]) -> None:
    results, _ = three
    folder = results / "dino" / "analysis"
    text = (folder / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) >= 8
    assert all((folder / picture).is_file() for picture in pictures)
    assert "| LiDAR |" in text


def test_baselines_chance_and_the_states_are_in_the_table(three: tuple[Path, Report]) -> None:
    text = shown(three[1])
    for expected in (
        "untrained",
        "raw pixels",
        "random choice",
        "τ covers completed 12",
        "τ [95% CI]",
        "regret",
        "pp",
        "the best is trial ",
    ):
        assert expected in text


def test_the_terminal_table_fits_80_columns(three: tuple[Path, Report]) -> None:
    text = shown(three[1], width=80)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "…" not in text
    assert re.search(r"LiDAR .*\[−?\d\.\d\d, −?\d\.\d\d\] ", text)  # an interval is not broken


def test_what_is_not_clear_is_said_to_be_unclear(three: tuple[Path, Report]) -> None:
    results, report = three
    text = (results / "vicreg" / "analysis" / "report.md").read_text(encoding="utf-8")
    assert "No clear relation between " in text
    assert re.search(r"^\d+ trials do not show which ranks better: ", text, re.MULTILINE)
    assert re.search(r"\| not clear \|", text)
    verdicts = set(report.judgement.comparison["verdict"])
    assert "" in verdicts
    assert verdicts <= {"", "lidar", "rankme", "loss"}
    written = pd.read_csv(results / "analysis" / "comparison.csv")["verdict"]
    assert written.fillna("").tolist() == report.judgement.comparison["verdict"].tolist()


def test_nothing_is_written_but_the_analysis(three: tuple[Path, Report]) -> None:
    results, _ = three
    names = {path.relative_to(results).parts[0] for path in results.rglob("*")}
    assert names == {"dino", "simclr", "vicreg", "analysis"}
    assert {path.name for path in (results / "dino").iterdir()} == {
        "sweep.yaml", "trials.parquet", "reports.parquet", "baselines.parquet", "analysis",
    }  # fmt: skip


def test_a_csv_by_hand_is_judged_beside_itself(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    DataFrame({"lidar": [1.0, 2.0, 3.0], "width": [3.0, 2.0, 1.0], "acc": [0.2, 0.5, 0.4]}).to_csv(path, index=False)
    report = analyze([path], oracle="acc", criteria=["lidar", "-width"])
    assert report.folder == tmp_path / "mine-analysis"
    ranks = pd.read_csv(report.folder / "ranking.csv").set_index("criterion")
    assert ranks["tau"].to_dict() == pytest.approx({"lidar": 1 / 3, "width": 1 / 3})
    assert ranks["sweep"].unique().tolist() == ["mine"]
    assert not (report.folder / "by_epoch.csv").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"mine.csv", "mine-analysis"}


def test_out_takes_everything(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "results", World(name="one", trials=4, epochs=2))
    report = analyze([folder], out=tmp_path / "elsewhere", criteria=["lidar"])
    assert (tmp_path / "elsewhere" / "report.html").is_file()
    assert not (folder / "analysis").exists()
    assert report.ranking["criterion"].tolist() == ["lidar"]


def test_a_second_analysis_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=4, epochs=2))
    analyze([folder])
    (folder / "reports.parquet").unlink()
    analyze([folder], criteria=["rankme"])
    left = {path.name for path in (folder / "analysis" / "figures").iterdir()}
    assert {name.partition(".")[0] for name in left} == {"oracle-rankme", "selection", "hyperparameters", "parallel"}
    assert not (folder / "analysis" / "by_epoch.csv").exists()
    assert not (folder / "analysis" / "pruning.csv").exists()


def test_files_of_others_beside_the_figures_stay(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "results", World(name="one", trials=4, epochs=2))
    mine = tmp_path / "paper" / "figures" / "mine.pdf"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    for criterion in ("lidar", "rankme"):
        analyze([folder], out=tmp_path / "paper", criteria=[criterion])
    left = {path.name for path in mine.parent.iterdir()}
    assert {"mine.pdf", "oracle-rankme.png"} <= left
    assert "oracle-lidar.png" not in left
    assert mine.read_text() == "mine"


def test_a_sweep_without_labels_has_a_report_without_judgement(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=6, epochs=3), oracle="none")
    for name in ("trials", "baselines"):
        table = pd.read_parquet(folder / f"{name}.parquet")
        table.drop(columns=[c for c in table if c.startswith("oracle")]).to_parquet(folder / f"{name}.parquet")
    report = analyze([folder])
    assert report.ranking["tau"].isna().all()
    assert (report.ranking["n"] == 0).all()
    best = pd.read_parquet(folder / "trials.parquet")["lidar"].idxmax()
    assert report.selection.set_index("criterion").loc["lidar", "trial"] == best
    text = (folder / "analysis" / "report.md").read_text(encoding="utf-8")
    assert "No trial was measured by an oracle" in text
    assert "sweeper probe" in text
    assert f"select trial {best}" in text or f"selects trial {best}" in text
    assert "n = 0" not in text
    assert "higher accuracy" not in text
    assert "nan" not in text
    lidar = next(line.split() for line in shown(report).splitlines() if line.startswith("LiDAR"))
    assert lidar[1] == str(best)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "failed", "oracle": np.nan, "lidar": np.nan, "rankme": np.nan, "loss": np.nan},
        {"status": "collapsed"},
        {"status": "pruned", "oracle": np.nan},
        {"lidar": 5.0, "rankme": 5.0, "loss": 5.0, "oracle": 0.5},
        {"oracle": np.nan},
    ],
    ids=["failed", "collapsed", "pruned", "all equal", "not measured"],
)
@pytest.mark.parametrize("trials", [1, 2, 5])
def test_little_is_judged_without_a_stumble(tmp_path: Path, changes: dict[str, object], trials: int) -> None:
    table, _, _ = simulate(World(name="s", trials=trials, epochs=2))
    table.assign(**changes).to_parquet(tmp_path / "trials.parquet")  # type: ignore[arg-type]
    report = analyze([tmp_path], criteria=["lidar", "loss"])
    assert len(report.ranking) == 2
    assert (tmp_path / "analysis" / "report.html").is_file()
    assert "nan" not in shown(report).lower()


def test_where_the_report_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, World(name="one", trials=3, epochs=2))
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsUnreadable, match="must be a writable folder"):
        analyze([folder], out=tmp_path / "file")


def cautioned(trials: DataFrame, baselines: DataFrame | None = None) -> dict[str, str]:
    ranking = kendall(trials, ["lidar"])
    given = partial(trials, ["lidar"])
    table = cautions(trials, DataFrame() if baselines is None else baselines, ranking, given)
    return dict(zip(table["kind"], table["text"], strict=True))


@pytest.fixture
def sound() -> DataFrame:
    trials, _, _ = simulate(World(name="s", trials=60, epochs=1, follows=0.9))
    return trials


def test_a_sound_sweep_gets_no_warning(sound: DataFrame) -> None:
    low = DataFrame({"sweep": "s", "baseline": ["untrained"], "oracle": 0.2})
    judged = sound.drop(columns=[column for column in sound if column.startswith("config.")])
    assert cautioned(judged, low) == {}


def test_a_colleague_warns(sound: DataFrame) -> None:
    rise = sound["config.lr"].rank()
    pruned = sound.assign(status=["pruned"] * 10 + ["completed"] * 50)
    warned = {
        "too few trials": sound.head(8),
        "narrow oracle": sound.assign(oracle=0.8 + 0.01 * sound["oracle"]),
        "follows a hyperparameter": sound.assign(lidar=rise),
        "survivors only": pruned.assign(oracle=pruned["oracle"].where(pruned["status"] == "completed")),
        "unlike epochs": pruned,
        "mixed conditions": sound.assign(lidar_q=[2] * 30 + [10] * 30),
        "mixed layers": sound.assign(
            lidar=sound["lidar.embedding"].where(sound.index < 30, sound["lidar.representation"])
        ),
        "mixed encoders": sound.assign(encoder=["vit"] * 30 + ["resnet"] * 30),
        "collapsed": sound.assign(status=["collapsed"] * 20 + ["completed"] * 40),
        "failed": sound.assign(status=["failed"] * 20 + ["completed"] * 40),
        "unmeasured": sound.assign(oracle=sound["oracle"].where(sound["trial"] > 0)),
        "no oracle": sound.assign(oracle=np.nan),
        "units": sound.assign(oracle=100 * sound["oracle"]),
    }
    for kind, trials in warned.items():
        assert kind in cautioned(trials), kind
    assert "lidar_q" in cautioned(warned["mixed conditions"])["mixed conditions"]


def test_trials_that_learnt_nothing_are_counted(sound: DataFrame) -> None:
    start = DataFrame({"sweep": "s", "baseline": ["untrained"], "oracle": float(sound["oracle"].median())})
    text = cautioned(sound, start)["near the untrained"]
    counted = int(text.split()[0])
    assert 30 <= counted <= 40


def test_a_criterion_that_falls_with_training_is_said_to(sound: DataFrame) -> None:
    backwards = sound.assign(lidar=100 - sound["lidar"])
    for trials, start, warned in (
        (backwards, float(backwards["lidar"].max()) + 1, True),
        (backwards, float(backwards["lidar"].median()), False),
        (sound, float(sound["lidar"].max()) + 1, False),  # it ranks the trials; the baseline does not matter
    ):
        base = DataFrame({"sweep": "s", "baseline": ["untrained", "raw_pixels"], "lidar": [start, np.nan]})
        assert ("high at the start" in cautioned(trials, base)) is warned


TAU = {"criterion": "lidar", "higher_is_better": True, "tau": 0.5, "tau_low": 0.2, "tau_high": 0.7, "n": 20}


def test_a_relation_is_certain_if_its_interval_and_its_p_agree() -> None:
    row = TAU | {"tau_p": 0.01}
    known = "(τ 0.50, 95% CI 0.20 to 0.70, 20 trials)"
    assert relation(row) == f"Higher LiDAR went with higher accuracy {known}."
    unsure = f"Higher LiDAR went with higher accuracy {known}, but this is not certain: "
    assert relation(row | {"tau_p": 0.13}) == f"{unsure}the interval excludes 0, and p is 0.130."
    assert relation(row | {"tau_p": np.nan}) == f"{unsure}the interval excludes 0, and p cannot be computed."
    assert relation(row | {"tau_low": -0.1}).endswith("not certain: the interval includes 0, and p is 0.010.")
    unclear = relation(row | {"tau_low": -0.1, "tau_p": 0.2})
    assert unclear.startswith("No clear relation between LiDAR and accuracy (τ 0.50, 95% CI −0.10 to 0.70, 20 trials)")
    assert unclear.endswith("; if anything, higher LiDAR went with higher accuracy.")
    assert "if anything" not in relation(row | {"tau": 0.0, "tau_low": -0.4, "tau_high": 0.4, "tau_p": 1.0})


def test_the_direction_of_a_relation_is_that_of_the_column() -> None:
    backwards = TAU | {"tau": -0.5, "tau_low": -0.7, "tau_high": -0.2, "tau_p": 0.01}
    assert relation(backwards).startswith("Higher LiDAR went with lower accuracy (")
    assert relation(backwards).endswith("): LiDAR ranks these trials backwards.")
    loss = {"criterion": "loss", "higher_is_better": False, "tau_p": 0.01}
    assert relation(TAU | loss).startswith("Lower loss went with higher accuracy (")
    assert relation(backwards | loss).startswith("Lower loss went with lower accuracy (")
    assert relation(backwards | loss).endswith("): the loss ranks these trials backwards.")


def test_a_selection_is_told_beside_the_best_and_a_random_choice() -> None:
    row = {"trial": 4, "oracle": 0.76, "best_oracle": 0.831, "regret": 0.071, "random_oracle": 0.7597}
    assert selection(row) == ("It selects trial 4: 76.0%; the best trial has 83.1%; a random choice averages 76.0%.")
    assert selection(row | {"oracle": 0.831, "regret": 0.0}).startswith("It selects trial 4: 83.1%, the best of all")
    assert selection(row | {"oracle": np.nan, "regret": np.nan}) == (
        "It selects trial 4, whose accuracy was not measured."
    )
    assert selection(row | {"trial": pd.NA}) == "It selects no trial, because no completed trial has a value of it."


def test_pairs_are_told_by_the_criterion_that_ranks_better() -> None:
    pairs = DataFrame(
        [("lidar", "rankme", 12, 0.1, ""), ("lidar", "loss", 12, -0.7, "loss"), ("rankme", "loss", 12, -0.8, "loss")],
        columns=["first", "second", "n", "difference", "verdict"],
    )
    assert comparisons(pairs) == (
        "The loss ranks these trials better than LiDAR and RankMe.",
        "12 trials do not show which ranks better: LiDAR or RankMe.",
    )
    many = pd.concat([pairs.assign(verdict="")] * 2)
    assert comparisons(many) == ("12 trials do not show which ranks better in 6 of 6 pairs of criteria.",)
    assert comparisons(pairs.assign(difference=np.nan)) == ()
    assert comparisons(DataFrame()) == ()


def test_the_epoch_from_which_a_criterion_ranks_the_trials_is_told() -> None:
    ranking = DataFrame(
        {"criterion": ["lidar", "rankme", "loss", "lidar.embedding"], "tau": 0.5, "known_from": [3, pd.NA, pd.NA, 1]}
    )
    assert earliest_epochs(ranking) == (
        "LiDAR clearly ranks the trials from epoch 3 on: the 95% CI of τ stays above 0. A pruner that watches it "
        "should not stop trials earlier.",
        "RankMe and the loss do not clearly rank the trials even at the last epoch: the 95% CI of τ is not above 0. "
        "This sweep gives no reason to prune by any of them.",
    )
    assert earliest_epochs(ranking.drop(columns="known_from")) == ()


def test_the_pruner_that_saves_most_at_no_loss_is_told() -> None:
    table = DataFrame(
        [
            ("lidar", "none", 0.0, 0.02), ("lidar", "median", 0.3, 0.02), ("lidar", "halving", 0.5, 0.03),
            ("loss", "none", 0.0, 0.0), ("loss", "median", 0.3, 0.01), ("rankme", "median", 0.3, 0.01),
        ],
        columns=["criterion", "pruner", "epochs_saved", "regret"],
    ).assign(best_oracle=0.9)  # fmt: skip
    assert replayed_pruners(table) == (
        "Watching LiDAR, “median” would have saved 30.0% of the epochs and selected a trial no worse than without "
        "pruning (regret 2.0 pp).",
        "Watching the loss, every pruner that saves epochs would have selected a worse trial than no pruning does.",
    )
    assert replayed_pruners(table.assign(regret=np.nan)) == replayed_pruners(DataFrame()) == ()


def test_a_caution_about_several_sweeps_is_given_once() -> None:
    table = DataFrame([("a", "One."), ("b", "Two."), ("c", "One.")], columns=["sweep", "text"])
    assert of_each_sweep(table) == ("a and c: One.", "b: Two.")


def test_columns_that_nobody_named_are_named(tmp_path: Path) -> None:
    table = DataFrame(
        {"lidar": [1.0, 2.0, 3.0], "accuracy": [0.1, 0.2, 0.3], "mine": [1, 2, 3], "note": ["a", "b", "c"]}
    )
    table.to_csv(tmp_path / "my.csv", index=False)
    (note,) = load(tmp_path / "my.csv").notes
    ways = "--criteria NAME, or -NAME if less is better"
    assert note == f"my.csv has further numbers: accuracy, mine ({ways}; --oracle NAME; --hyperparameters NAME)"
    (note,) = load(tmp_path / "my.csv", oracle="accuracy").notes
    assert note == f"my.csv has further numbers: mine ({ways}; --hyperparameters NAME)"
    assert not load(tmp_path / "my.csv", oracle="accuracy", criteria=["lidar"]).notes


def test_pixels_that_do_as_well_are_said(sound: DataFrame) -> None:
    best = float(sound["oracle"].max())
    for pixels, warned in ((best, True), (best - 1e-3, False)):
        base = DataFrame({"sweep": "s", "baseline": ["raw_pixels"], "oracle": pixels})
        assert ("below raw pixels" in cautioned(sound, base)) is warned


def test_many_criteria_are_counted() -> None:
    generator = np.random.default_rng(3)
    trials = DataFrame(generator.uniform(size=(20, 1)), columns=["oracle"]).assign(sweep="s", status="completed")
    trials["lidar"] = trials["oracle"] + 0.9 * generator.uniform(size=20)
    for place in range(20):
        trials[f"noise{place}"] = generator.uniform(size=20)
    criteria = ["lidar", *(f"noise{place}" for place in range(20))]
    ranking = kendall(trials, criteria)
    lost = ranking[(ranking["tau_p"] < 0.05) & (ranking["tau_p_holm"] >= 0.05)]
    found = cautions(trials, DataFrame(), ranking, DataFrame())
    assert ("many criteria" in set(found["kind"])) == bool(len(lost))
    assert len(lost)


def test_the_layer_of_a_plain_column_is_seen(sound: DataFrame) -> None:
    assert layers_of(sound, ["lidar", "rankme"]) == {"lidar": "embedding", "rankme": "embedding"}
    assert layers_of(sound.assign(lidar=sound["lidar.representation"]), ["lidar"]) == {"lidar": "representation"}


def test_a_table_reads_the_same_three_ways() -> None:
    table = TextTable("t", ("name", "τ"), (("a_b & <c>", "−0.5"), ("x|y", "50%")), (True, False), groups=(1,))
    assert to_markdown(table).splitlines()[2:] == ["| a_b & \\<c> | −0.5 |", "| x\\|y | 50% |"]
    assert "a_b &amp; &lt;c&gt;" in make_page("", "", [Section("", tables=(table,))])
    latex = to_latex(table).splitlines()
    assert latex[4] == r"a\_b \& $<$c$>$ & $-$0.5 \\"
    assert latex[5:7] == [r"\midrule", r"x|y & 50\% \\"]


def test_a_small_p_beside_an_interval_that_holds_zero_is_explained() -> None:
    row = {"criterion": "lidar", "tau": -0.42, "tau_low": -0.75, "tau_high": 0.09, "tau_p": 0.026}
    ((kind, text),) = about_doubt(DataFrame([row]))
    assert kind == "p and interval"
    assert text.startswith("LiDAR: p is below 0.05")
    assert about_doubt(DataFrame([{**row, "tau_high": -0.01}, {**row, "tau_p": 0.2}])) == []


def test_sweeps_with_a_criterion_of_unlike_layers_are_told_apart(sound: DataFrame) -> None:
    other = sound.assign(sweep="v", lidar=sound["lidar.representation"])
    assert across(sound) == []
    assert across(pd.concat([sound, other])) == [
        "LiDAR was measured on the embedding in s and on the representation in v: compare ranks, not values."
    ]


def audited(oracle: float) -> DataFrame:
    """Eight trials, of which one was pruned and two were audited, the first of them with this oracle."""
    return DataFrame(
        {
            "sweep": "s",
            "trial": range(8),
            "status": ["pruned"] + ["completed"] * 7,
            "audited": [False, True, True] + [False] * 5,
            "epochs": [2] + [10] * 7,
            "lidar": [1.0, 2.0, 3.0, 9.0, 5.0, 4.0, 6.0, 7.0],
            "oracle": [np.nan, oracle, 0.5, 0.7, 0.6, 0.6, 0.5, 0.5],
            "oracle_n": 1000,
        }
    )


def test_what_an_audit_found_is_said_in_a_sentence() -> None:
    settings = {"s": {"pruner": {"name": "median"}, "objective": "lidar", "epochs": 10}}
    (text,) = pruning_as_it_ran(audit(audited(0.8), settings))
    assert text == (
        "The median pruner, watching LiDAR, stopped 1 of 8 trials and saved 10.0% of the epochs. As an audit, 2 trials "
        "that it would have stopped ran to the end: 1 of 2 ended clearly above the selected trial. So 50.0% of its "
        "stops (95% CI 9.5% to 90.5%) lose a better trial."
    )
    (none,) = pruning_as_it_ran(audit(audited(0.8).assign(audited=False), settings))
    assert "is not known, because no audited trial was measured: raise `pruner.audit` in the next sweep." in none
    untouched = audited(0.8).assign(audited=False, status="completed")
    (lossless,) = pruning_as_it_ran(audit(untouched, settings))
    assert "stopped 0 of 8 trials and " in lossless
    assert lossless.endswith("So it lost no better trial.")
    (bare,) = pruning_as_it_ran(audit(audited(0.8).drop(columns="epochs"), {}))
    assert bare.startswith("Pruning, watching LiDAR, stopped 1 of 8 trials. ")


@pytest.mark.parametrize(
    ("lidar_seconds", "sentence"),
    [
        (0.1, "adds 10.0%, 5.0 times less than a probe at every epoch, and no more than one probe at the end."),
        (
            0.4,
            "adds 40.0%, 1.2 times less than a probe at every epoch. One probe at the end is cheaper, but needs "
            "labels.",
        ),
        (0.6, "adds 60.0%, no less than a probe at every epoch. It saves labels, but no time."),
    ],
)
def test_the_time_of_a_criterion_is_told_beside_that_of_the_probe(lidar_seconds: float, sentence: str) -> None:
    reports = DataFrame(
        {"sweep": "s", "trial": 0, "epoch": [1, 2, 3, 4], "train_seconds": 1.0, "lidar_seconds": lidar_seconds}
    ).assign(rankme_seconds=np.nan)
    trials = DataFrame({"sweep": ["s"], "trial": [0], "oracle_seconds": [0.5]})
    first, second = costs(cost(trials, reports))
    assert first == (
        "A probe at every epoch would add 50.0% to the training time, and one probe at the end of each trial adds "
        "12.5%."
    )
    assert second == f"LiDAR at every epoch {sentence}"
