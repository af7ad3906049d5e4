"""A process that packs: it reads one job a line as JSON from its input, and answers each with a line.

`python -m trainers.packs.worker` does not import the program that started it, as multiprocessing's workers would; and
its input ends when that program dies in whatever way.
"""

from __future__ import annotations

import json
import signal
import sys

from trainers.decode import readable_endings
from trainers.packs.encode import Job, write_shard


def main() -> None:
    """Do the jobs until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    readable_endings()  # registers pillow-heif, where it is installed
    for line in sys.stdin:
        try:
            answer: dict[str, object] = {"failures": write_shard(Job(**json.loads(line)))}
        except OSError as error:
            answer = {"error": error.strerror or str(error), "errno": error.errno}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
