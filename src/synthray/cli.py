"""The command `synthray`: audit images, train on them, sample and compare, from a shell."""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from synthray._files import write_json
from synthray.augmenter.synthetic_augmenter import SyntheticAugmenter
from synthray.comparison.arms import ARMS, CONTROLS
from synthray.comparison.runner import run_comparison
from synthray.comparison.training import Training
from synthray.datasets.folder_tree import TEST, TRAINING
from synthray.datasets.image_dataset import ImageDataset
from synthray.datasets.image_folder import load_image_folder
from synthray.datasets.npz_file import load_npz
from synthray.duplicates.audit import audit_images
from synthray.generators.dcgan import DCGAN
from synthray.generators.gan import GAN
from synthray.generators.projected_gan import ProjectedGAN
from synthray.generators.r3gan import R3GAN

_FAULTS = (ImportError, MemoryError, OSError, RuntimeError, TypeError, ValueError)
_GENERATORS: dict[str, type[GAN]] = {"projected": ProjectedGAN, "dcgan": DCGAN, "r3gan": R3GAN}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit code.

    Args:
        arguments: What follows `synthray`; by default, what the shell gave.

    Returns:
        0 if all went well, 1 if `audit` found what `--fail-on` names, 2 if the command could not
        run: a line on standard error says why.
    """
    args = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            return int(args.run(args))
        except _FAULTS as error:
            _complain(str(error) or type(error).__name__)
            return 2
        except KeyboardInterrupt:
            return 130


def _audit(args: argparse.Namespace) -> int:
    with contextlib.redirect_stdout(sys.stderr):  # progress
        own = {"classes": args.classes, "labels": args.labels, "groups": _groups(args)}
        report = audit_images(args.path, args.test, **own)
    print(report)
    _write(args.html, report.to_html)
    _write(args.csv, report.to_csv)
    _write(args.json, lambda path: write_json(Path(path), report.to_dict()))
    return bool(report.found if args.fail_on == "any" else report.found & {args.fail_on})


def _train(args: argparse.Namespace) -> int:
    train = _one(_load(args.data, args), TRAINING, args.data)
    augmenter = _augmenter(args, args.seed)
    augmenter.fit(train, workdir=f"{args.out}-work")
    _write(args.out, augmenter.save)
    return 0


def _sample(args: argparse.Namespace) -> int:
    augmenter = SyntheticAugmenter.load(args.folder)
    _write(args.out, lambda path: augmenter.sample_to_folder(path, args.n, seed=args.seed))
    return 0


def _compare(args: argparse.Namespace) -> int:
    sets, test = _load(args.data, args, _groups(args)), None
    if args.test is not None:
        test = _one(_load(args.test, args, _groups(args)), TEST, args.test)
    elif None not in sets:
        test = _one(sets, TEST, args.data)
    result = run_comparison(
        _one(sets, TRAINING, args.data),
        test,
        cv=args.folds,
        augmenter=_augmenter(args),
        arms=args.arms,
        training=Training(epochs=args.epochs),
        seeds=range(args.seeds),
        workdir=f"{Path(args.html).with_suffix('')}-work",
    )
    print(result)
    _write(args.html, result.to_html)
    _write(args.json, result.save)
    return 0


def _load(path: str, args: argparse.Namespace, groups: Any = None) -> dict[Any, ImageDataset]:
    """Return the images of a folder or file by split; by `None` where there are no splits."""
    shape = args.size, args.size, args.channels
    if Path(path).is_file():
        if args.labels is not None:
            raise ValueError(f"{path} has classes of its own: --labels is for folders.")
        return dict(load_npz(path, shape, groups=groups))
    found = load_image_folder(path, shape, labels=args.labels, groups=groups)
    return dict(found) if isinstance(found, dict) else {None: found}


def _one(sets: dict[Any, ImageDataset], names: Sequence[str], path: str) -> ImageDataset:
    """Return the images of the split that has one of these names, or of all, without splits."""
    found = [data for name, data in sets.items() if name is None or name.lower() in names]
    if len(found) != 1:
        raise ValueError(
            f"Expected one split called {' or '.join(names)} in {path}, got {', '.join(sets)}. "
            "Name the folder of the split itself."
        )
    return found[0]


def _augmenter(args: argparse.Namespace, seed: int | None = None) -> SyntheticAugmenter:
    generator = args.preset or _GENERATORS[args.generator]
    epochs: Any = "auto" if args.gan_epochs is None else args.gan_epochs
    return SyntheticAugmenter(generator, epochs=epochs, random_state=seed)


def _groups(args: argparse.Namespace) -> tuple[str, str] | None:
    return None if args.groups is None else (args.groups, args.group_column)


def _write(path: str | None, write: Callable[[str], object]) -> None:
    if path is not None:
        write(path)
        print(f"written: {path}")


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    _complain(f"{category.__name__}: {message}")


def _complain(text: str) -> None:
    sys.stderr.write(f"synthray: {' '.join(text.split())}\n")


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="synthray",
        description="Find copies and leaks in sets of medical images; train generators on such "
        "sets, and measure what synthetic images add.",
    )
    parser.add_argument("--version", action="version", version=version("synthray"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(
        name: str, argument: str, run: Callable[[Any], int], what: str, more: str
    ) -> Callable[..., Any]:
        """Add a command of one argument, which `more` explains; return what adds options."""
        usage, text = f"%(prog)s {argument} [options]", f"{what[:1].upper()}{what[1:]}. {more}"
        made = commands.add_parser(name, help=what, usage=usage, description=text)
        made.set_defaults(run=run)
        made.add_argument(argument.lower(), metavar=argument, help=argparse.SUPPRESS)
        return made.add_argument

    add = command(
        "audit",
        "PATH",
        _audit,
        "find copies, leaks between splits and contradicting labels",
        "PATH is a folder (class/image, split/class/image, or images alone) or an .npz file. Exit "
        "code: 0 fine, 1 found what --fail-on names, 2 could not run.",
    )
    add("--test", metavar="PATH", help="a test set outside of PATH")
    add("--classes", nargs="*", metavar="NAME", help="class folders; no name: no classes")
    _add_labels(add)
    _add_groups(add)
    add("--html", metavar="FILE", help="write a page of pairs, worst first")
    add("--csv", metavar="FILE", help="write a group for each file (for --groups)")
    add("--json", metavar="FILE", help="write counts, leaks and clusters")
    add(
        "--fail-on",
        metavar="WHAT",
        choices=("leak", "conflict", "any"),
        help="leak, conflict or any (also copies and unreadable files)",
    )

    add = command(
        "train",
        "DATA",
        _train,
        "train generators on a folder or .npz file",
        "DATA has class folders, or splits of such, of which only train is read. The same command "
        "goes on where an earlier one ended: checkpoints are in OUT-work.",
    )
    add("--out", metavar="FOLDER", required=True, help="where the generators go (required)")
    _add_generator(add, "--epochs")
    add("--seed", type=int, metavar="N", default=0, help="(default: 0)")
    _add_shape(add)

    add = command(
        "sample",
        "FOLDER",
        _sample,
        "write synthetic images, a folder a class",
        "FOLDER is what synthray train wrote.",
    )
    add("--out", metavar="FOLDER", required=True, help="a new folder for PNG files (required)")
    add("--n", type=int, default=1000, metavar="N", help="images in all (default: 1000)")
    add("--seed", type=int, metavar="N", help="equal seeds give equal images")

    add = command(
        "compare",
        "DATA",
        _compare,
        "train a classifier with and without synthetic images",
        "DATA has class folders, or splits of such. What judges is --test, or the split test, or "
        "else folds. The same command goes on where an earlier one ended: fits are in HTML-work.",
    )
    arms = [*ARMS, *CONTROLS]
    add("--test", metavar="PATH", help="a test set of its own")
    add(
        "--arms",
        nargs="+",
        metavar="ARM",
        default=list(ARMS),
        choices=arms,
        help="(default: all four)",
    )
    add("--epochs", type=int, metavar="N", default=Training.epochs, help="(default: 20)")
    add("--folds", type=int, metavar="N", default=5, help="(default: 5)")
    add("--seeds", type=int, metavar="N", default=1, help="fits of each arm (default: 1)")
    _add_generator(add, "--gan-epochs")
    _add_shape(add)
    _add_groups(add)
    add("--html", metavar="FILE", default="report.html", help="the page (default: report.html)")
    add("--json", metavar="FILE", help="write the result")
    return parser


def _add_generator(add: Callable[..., Any], epochs: str) -> None:
    names = f"{', '.join(_GENERATORS)} (default: projected)"
    enough = "of generators (default: as many as they need)"
    add("--generator", metavar="NAME", choices=_GENERATORS, default="projected", help=names)
    add("--preset", metavar="NAME", help="fine-tune limbs_64, chest_64 or a folder of yours")
    add(epochs, dest="gan_epochs", type=int, metavar="N", help=enough)


def _add_labels(add: Callable[..., Any]) -> None:
    what = "classes: a table, its columns of files and labels"
    add("--labels", nargs=3, metavar=("CSV", "FILE", "LABEL"), help=what)


def _add_shape(add: Callable[..., Any]) -> None:
    _add_labels(add)
    add("--size", type=int, metavar="N", default=64, help="height and width (default: 64)")
    add("--channels", type=int, metavar="N", choices=(1, 3), default=1, help="1: gray, 3: colour")


def _add_groups(add: Callable[..., Any]) -> None:
    add("--groups", metavar="CSV", help="which files belong together (patients)")
    add("--group-column", metavar="NAME", default="group", help="its column (default: group)")
