"""Why? ``python -m app.diagnose --campaign 1 --email lea@example.com`` tells what is amiss, with its evidence.

It reads the environment of the installation, as the web process does, and exits with 1 where there is a problem.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from app.core.diagnosis import TITLES, Question
from app.terminal import with_services
from app.usecases.diagnose import diagnose


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 where nothing is amiss, 1 with a problem, 2 where nobody could look."""
    asked = _parser().parse_args(arguments)
    question = Question(asked.question) if asked.question else None
    return with_services(
        lambda wired: diagnose(
            wired.services,
            asked.campaign,
            email=asked.email,
            question=question,
            attribute=asked.attribute,
            segment=asked.segment,
        )
    )


def _parser() -> argparse.ArgumentParser:
    questions = "\n".join(f"  {one.value:<30} {TITLES[one]}" for one in Question)
    parser = argparse.ArgumentParser(
        prog="python -m app.diagnose",
        description="Tells what is amiss with a campaign, or with a person of it.",
        epilog=f"questions:\n{questions}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--campaign", type=int, required=True, help="the campaign's number here")
    parser.add_argument("--email", help="of a lead, a referrer or a contact")
    parser.add_argument("--question", choices=[one.value for one in Question], metavar="QUESTION", help="see below")
    parser.add_argument("--attribute", help="a path, a name or a label")
    parser.add_argument("--segment", help="an id or a name")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
