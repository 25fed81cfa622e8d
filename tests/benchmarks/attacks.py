"""Measure what a good client notices while a server is attacked.

    python tests/benchmarks/attacks.py --seconds 10
    python tests/benchmarks/attacks.py --only slow-uploads --env PYTHONPATH=/path/of/another/checkout

For each attack of tests/hostile/attacks.py, a good client asks for small pictures, first undisturbed and then while the
attack holds what it holds, each time of a new server. A good server lets the client's p99 grow to at most three times,
refuses it for no longer than a second, and needs little memory. Attacks run on the same machine and need some of its
cores.
"""

import io
import sys
from pathlib import Path

from overload import MemoryWatch
from PIL import Image
from servers import OURS, environment_of, options_for, publish, running

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile.attacks import ATTACKS
from hostile.good_client import Experience, attacked, experience


def main() -> None:
    """Measure, print a table while it is measured, and print the results as JSON."""
    parser = options_for(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each measurement")
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels")
    parser.add_argument("--only", action="append", choices=ATTACKS, help="attack to measure; repeatable")
    options = parser.parse_args()
    picture = io.BytesIO()
    Image.radial_gradient("L").resize((options.size, options.size)).convert("RGB").save(picture, "PNG")
    environment = {"IMPASTO_PRELOAD": "muse"} | environment_of(options)
    results = {}
    print(f"{'':26}{'undisturbed':>20}{'attacked':>20}{'refused':>9}{'longest':>9}{'memory':>9}", file=sys.stderr)
    for name in options.only or ATTACKS:
        is_live = name == "silent-websockets"
        with running(OURS, environment) as server:
            experience(server.url, picture.getvalue(), 1, live=is_live)
            quiet = experience(server.url, picture.getvalue(), options.seconds, live=is_live)
            before = server.resident_mib()
            with MemoryWatch(server) as memory, attacked(name, server.url):
                during = experience(server.url, picture.getvalue(), options.seconds, live=is_live)
        more = memory.most_mib - before
        print(
            f"{name:26}{_times(quiet):>20}{_times(during):>20}{during.refused:9}"
            f"{during.longest_refusal_s:7.1f} s{more:+6.0f} MB",
            file=sys.stderr,
        )
        results[name] = {"undisturbed": quiet._asdict(), "attacked": during._asdict(), "more_resident_mib": more}
    publish(options, {"attacks": results})


def _times(each: Experience) -> str:
    return "no answer" if each.p50_ms is None else f"{each.p50_ms:.0f} / {each.p99_ms:.0f} ms"


if __name__ == "__main__":
    main()
