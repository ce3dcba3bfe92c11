"""Tables, figures and pages: made of results that never took place, complete, in part, and of none."""

import re
from html.parser import HTMLParser

import pages
import provenance
import pytest
import store
import timings
import write_up
from claims import FAILS, HOLDS, NOT_RUN, WORDS
from findings import Findings
from options import ROOT
from plan import EXPERIMENTS, Plan, Scope

import made_up

PLAN = Plan(Scope("cifar10"))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Return a folder with a result for every run, and the timing."""
    results = tmp_path_factory.mktemp("everything") / "results"
    made_up.make_all(PLAN, results)
    store.write(timings.file_of(results), made_up.timing())
    return results


@pytest.fixture(scope="module")
def files(everything):
    """Return the files that the results give."""
    folder = everything.parent
    return write_up.files(PLAN, everything, folder / "README.md", folder / "docs" / "experiments.html")


def written(results, figures=False):
    """Write the pages beside a folder of results, and return the README and the page."""
    readme, page = results.parent / "README.md", results.parent / "docs" / "experiments.html"
    options = write_up.Options(results=str(results), readme=str(readme), page=str(page), figures=figures)
    assert write_up.run(options) == 0
    return readme, page, options


class Reader(HTMLParser):
    """Checks that tags match, and gathers what a page refers to."""

    EMPTY = ("meta", "img", "link", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links, self.tags, self.ids = [], [], set(), []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.links += [attributes[name] for name in ("href", "src") if name in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag == "img":
            assert attributes["alt"]
            assert int(attributes["width"]) > int(attributes["height"]) / 2 > 0
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert len(set(reader.ids)) == len(reader.ids)
    return reader


def test_a_machine_is_told_once_with_all_its_commits():
    made = {"cpu": "Some CPU", "isa": "avx2", "threads": 1, "versions": {"numpy": "2.4", "torch": None}}
    runs = [{"engine": "fastscratch", "made": made | {"commit": commit}} for commit in ("bb", "aa", "bb")]
    other = {"engine": "torch", "made": made | {"commit": "cc", "threads": 2, "isa": None}}
    assert provenance.machines([*runs, other]) == [
        "fastscratch: Some CPU, avx2, 1 thread; numpy 2.4; commits aa, bb.",
        "torch: Some CPU, 2 threads; numpy 2.4; commit cc.",
    ]


def test_with_all_results_every_claim_is_judged_and_every_picture_drawn(everything, files):
    drawn = {file.path for file in files}
    for experiment in EXPERIMENTS:
        findings = Findings(experiment, PLAN, everything)
        for claim in experiment.claims:
            verdict = pages.judge(claim, findings)
            assert verdict.word in set(WORDS) - {NOT_RUN}, (claim.name, verdict)
            assert claim.picture in ("", *(picture.name for picture in experiment.pictures)), claim.name
        for picture in experiment.pictures:
            for kind in write_up.KINDS:
                assert everything / experiment.name / "figures" / f"{picture.name}.{kind}" in drawn
    names = [claim.name for experiment in EXPERIMENTS for claim in experiment.claims]
    assert len(set(names)) == len(names)


def test_verdicts_on_numbers_that_are_known(everything):
    verdicts = {
        claim.name: pages.judge(claim, Findings(experiment, PLAN, everything))
        for experiment in EXPERIMENTS
        for claim in experiment.claims
    }
    # As `made_up` has them: 1e-6 learns nothing, the noise is one over the batch, no two runs share their weights.
    assert verdicts["tiny-rate-is-slow"].word == HOLDS
    assert verdicts["hard-classes-suffer"].word == HOLDS
    noise = verdicts["small-batches-are-noisy"].evidence
    assert noise.endswith("(in theory 8): 8.0 before training, 8.0 after 1 epoch, 8.0 after 10 epochs")
    assert verdicts["large-batches-are-fast"].word == HOLDS
    assert verdicts["improved-in-an-hour"].word == HOLDS  # 28 epochs of 98 steps of 0.101 s
    assert verdicts["improved-in-an-hour"].evidence.startswith("4.6 minutes; Abacus, 2 threads")
    assert verdicts["speed-within-half-an-hour"].word == HOLDS  # 10 epochs of 98 steps of 1.001 s
    assert verdicts["speed-hour"].evidence.startswith("49.0 minutes; ")  # 30 epochs of them
    assert verdicts["kl-is-cross-entropy"].word == FAILS
    assert verdicts["blur-does-something"].word == HOLDS
    assert verdicts["same-in-float64"].word == HOLDS
    assert "1.0e-04 (" in verdicts["close-in-float32"].evidence


def test_pages_name_every_experiment_and_their_links_lead_somewhere(files):
    readme, page = (file.path for file in files[-2:])
    text, reader = (parse(file.make().decode()) for parse, file in zip((str, read), files[-2:], strict=True))
    for experiment in EXPERIMENTS:
        assert f"## {experiment.title}\n" in text
        assert experiment.name in reader.ids
        for claim in experiment.claims:
            assert claim.says in text
            assert claim.name in reader.ids
    assert "not run yet" not in text.lower()
    assert "script" not in reader.tags
    there = {file.path.resolve() for file in files}
    for link in reader.links:
        if link.startswith("#"):
            assert link[1:] in reader.ids
        else:
            assert (page.parent / link).resolve() in there, link
    for link in re.findall(r"\]\((results/[^)]+\.(?:png|svg))\)", text):
        assert (readme.parent / link).resolve() in there, link


def test_what_is_written_is_found_the_same_and_a_change_is_noticed(everything, capsys):
    readme, page, options = written(everything)
    check = write_up.Options(**{**vars(options), "check": True})
    assert write_up.run(check) == 0
    (everything / "epochs" / "tables.md").write_text("changed\n")
    page.unlink()
    assert write_up.run(check) == 1
    out = capsys.readouterr().out
    assert f"{everything}/epochs/tables.md differs from the results" in out
    assert f"{page} differs from the results" in out
    assert str(readme) not in out


def test_without_results_the_pages_say_so(tmp_path):
    readme, page, _ = written(tmp_path / "results", figures=True)
    text = readme.read_text()
    assert f"{len(PLAN.ordered())} runs have not been made yet" in text
    table = text.split("## What the report claims")[1].split("## The two engines")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "verdict" not in row]
    assert len(rows) == sum(len(experiment.claims) for experiment in EXPERIMENTS)
    assert all(f"| … {NOT_RUN} |" in row or f"| … {NOT_RUN} † |" in row for row in rows)
    rewritten = sum(claim.is_rewritten for experiment in EXPERIMENTS for claim in experiment.claims)
    assert sum(f"| … {NOT_RUN} † |" in row for row in rows) == rewritten > 0
    assert read(page.read_text()).links
    assert not list((tmp_path / "results").rglob("*.png"))


def test_figures_come_out_the_same_and_go_with_their_results(tmp_path):
    results = tmp_path / "results"
    made_up.make_all(PLAN, results, only=["agreement"])
    _, _, options = written(results, figures=True)
    (png,) = results.rglob("*.png")
    svg = png.with_suffix(".svg").read_bytes()
    assert png.read_bytes().startswith(b"\x89PNG")
    assert b"dc:date" not in svg
    check = write_up.Options(**{**vars(options), "check": True})
    assert write_up.run(check) == 0
    next(results.glob("agreement/lr-5e-3*")).unlink()
    assert write_up.run(check) == 1
    written(results, figures=True)
    assert not list(results.rglob("*.png"))


def test_a_result_of_another_config_is_refused(tmp_path):
    results = tmp_path / "results"
    made_up.make_all(PLAN, results, only=["losses"])
    with pytest.raises(ValueError, match="is the result of another run: data is cifar10 there, shapes10 here"):
        write_up.files(Plan(Scope("shapes10")), results, tmp_path / "a", tmp_path / "b")


def test_the_committed_pages_are_those_that_the_results_give():
    assert write_up.run(write_up.Options(check=True, figures=False)) == 0


def test_committed_figures_are_those_that_the_results_give():
    """One of each experiment, where the same matplotlib draws them; `write_up.py --check` compares all."""
    import matplotlib

    first = {}
    for file in write_up.files(PLAN, store.RESULTS, ROOT / "README.md", ROOT / "page.html"):
        if file.path.suffix == ".svg":
            first.setdefault(file.path.parent, file)
    for file in first.values():
        committed = file.path.read_bytes()
        if write_up.drawn_with(committed) == matplotlib.__version__:
            assert file.make() == committed, file.path
