"""Give the commands hundreds of generated bad inputs, and count the answers that were not clear.

    python benchmarks/fuzz.py --seed 0 --count 600

bad_inputs.py makes them, of five kinds. Each runs in a process of its own with a time limit. An answer is

    clear        exit code 2, or 0 where the input is acceptable; every line on stderr begins with "sweeper: "
    unclear      another exit code, another line on stderr, or a warning of another package
    unexpected   a traceback, the word "unexpected", or death by a signal
    hang         no answer within the time limit
"""

from __future__ import annotations

import argparse
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from bad_inputs import Workplace  # noqa: E402
from timm.models import vision_transformer  # noqa: E402, F401 - once, for all processes that are forked from this one

import sweeper.run.sweep  # noqa: E402, F401
from sweeper.cli.commands import execute  # noqa: E402

LIMIT = 60.0
"""Seconds for an answer, on a machine that may be busy."""


def answer(arguments: list[str], limit: float) -> tuple[int | None, str, str, float]:
    """Exit code (None after the time limit), stdout, stderr and seconds of a command in a process of its own."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _command(arguments, out.fileno(), error.fileno())
        code = None
        while time.monotonic() < began + limit and code is None:
            done, status = os.waitpid(child, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if done else None
            time.sleep(0.002)
        if code is None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        texts = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, error)]
    return code, texts[0], texts[1], time.monotonic() - began


def _command(arguments: list[str], out: int, error: int) -> None:
    """Run a command in this process, which then ends."""
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(error, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False, errors="backslashreplace")  # noqa: SIM115
        code = execute(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def judge(code: int | None, error: str) -> str:
    """clear · unclear · unexpected · hang."""
    if code is None:
        return "hang"
    if "Traceback" in error or "unexpected" in error or code < 0 or code == 99:
        return "unexpected"
    said = error.splitlines()
    ours = [line.startswith("sweeper: ") and not re.match(r"sweeper: \w*Warning: ", line) for line in said]
    clear = all(ours) and (code == 0 or (code == 2 and said))
    return "clear" if clear else "unclear"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for an answer")
    parser.add_argument("--only", help="one kind: file, override, folder, table or option")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(arguments.seed)
    counts: Counter[tuple[str, str]] = Counter()
    codes: Counter[int | None] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory(prefix="sweeper-fuzz-") as root:
        os.chdir(root)
        place = Workplace(Path(root))
        made_base = answer(
            ["run", str(place.file), "--local", "--quiet", "--name", "base", *place.results()], arguments.limit
        )
        assert made_base[0] == 0, made_base
        makers = {"file": place.search_space, "override": place.override, "folder": place.folder}
        makers |= {"table": place.table, "option": place.option}
        names = [arguments.only] if arguments.only else list(makers)
        for number in range(arguments.count):
            made = makers[names[number % len(names)]](rng)
            code, _, error, seconds = answer(made.arguments, arguments.limit)
            verdict, slowest = judge(code, error), max(slowest, seconds)
            counts[made.kind, verdict] += 1
            codes[code] += 1
            if verdict != "clear":
                print(
                    f"{verdict} ({code}, {seconds:.0f} s) {made.kind}: {made.what}\n    {error.strip()[-600:]}",
                    flush=True,
                )
    verdicts = ("clear", "unclear", "unexpected", "hang")
    for kind in names:
        print(f"{kind:10}", *(f"{verdict} {counts[kind, verdict]:4}" for verdict in verdicts), sep="  ")
    total = {verdict: sum(counts[kind, verdict] for kind in names) for verdict in verdicts}
    print(f"{'all':10}", *(f"{verdict} {total[verdict]:4}" for verdict in verdicts), sep="  ")
    print(f"refused {codes[2]}, accepted {codes[0]}, slowest {slowest:.1f} s, seed {arguments.seed}")
    return 0 if total["clear"] == arguments.count else 1


if __name__ == "__main__":
    sys.exit(main())
