"""The command `synthray`: audit a set of images, train, sample and compare from a shell."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from synthray._files import write_json
from synthray.duplicates.audit import audit_images

_FAULTS = (ImportError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
_DEFECTS = {"leak": {"leak"}, "conflict": {"conflict"}}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help shows how)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Args:
        arguments: What follows `synthray`; by default, what the shell gave.

    Returns:
        0 if all went well, 1 if `audit` found what `--fail-on` names, 2 if the command could not
        run: one line on standard error says why.
    """
    args = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return int(args.run(args))
        except _FAULTS as error:
            _complain(f"{error}" or type(error).__name__)
            return 2
        except KeyboardInterrupt:
            return 130


def _audit(args: argparse.Namespace) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # progress
        report = audit_images(
            args.path,
            args.test,
            classes=args.classes,
            groups=_groups(args),
        )
    print(report)
    writers = {"html": report.to_html, "csv": report.to_csv}
    writers["json"] = lambda path: write_json(Path(path), report.to_dict())
    for kind, write in writers.items():
        path = getattr(args, kind)
        if path is not None:
            write(path)
            print(f"written: {path}")
    names = report.found if args.fail_on == "any" else report.found & {args.fail_on}
    return 1 if names else 0


def _groups(args: argparse.Namespace) -> tuple[str, str] | None:
    return None if args.groups is None else (args.groups, args.group_column)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    _complain(f"{category.__name__}: {message}")


def _complain(text: str) -> None:
    sys.stderr.write(f"synthray: {' '.join(text.split())}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="synthray",
        description="Find copies and leaks in sets of medical images; train generative models on "
        "them, and measure what synthetic images add.",
    )
    parser.add_argument("--version", action="version", version=version("synthray"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    audit = commands.add_parser(
        "audit",
        help="find copies, leaks between splits and contradicting labels",
        description="Find copies, leaks between splits and contradicting labels. PATH is a folder "
        "(class/image, split/class/image, or images alone) or an .npz file. Exit code: 0 fine, 1 "
        "found what --fail-on names, 2 could not run.",
    )
    audit.set_defaults(run=_audit)
    audit.add_argument("path", metavar="PATH", help="the images")
    audit.add_argument("--test", metavar="PATH", help="a test set outside of PATH")
    audit.add_argument(
        "--classes", nargs="*", metavar="NAME", help="class folders; without names, none are"
    )
    _add_groups(audit)
    audit.add_argument("--html", metavar="FILE", help="write a page of pairs, worst first")
    audit.add_argument("--csv", metavar="FILE", help="write a group for each file (for --groups)")
    audit.add_argument("--json", metavar="FILE", help="write counts, leaks and clusters")
    audit.add_argument(
        "--fail-on",
        choices=("leak", "conflict", "any"),
        help="exit with 1 if there is such; any: copies and unreadable files too",
    )
    return parser


def _add_groups(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--groups", metavar="CSV", help="files that belong together (patients)")
    parser.add_argument(
        "--group-column", metavar="NAME", default="group", help="its column (default: group)"
    )
