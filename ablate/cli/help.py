"""The help and error messages of commands: options in groups, mistakes in one sentence. Plain text, no boxes."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from ablate.cli.answers import answering, refusal
from ablate.errors import ExitCode, must, nearest

WIDTH = 100
"""The largest width of the help, in columns."""
Mistake: type[Exception] = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "UsageError")
"""The error that the parser raises for every mistake on the command line; Typer does not export it."""

GROUPS = {
    "What is compared": (
        *("seeds", "first_seed", "seed", "act_on", "references", "add", "in_order", "strengths", "screen"),
        *("budget", "max_length", "strength", "p", "sampler", "sampler_seed", "batch", "within"),
        "cells",
    ),
    "Images": ("cache", "images", "draws", "show", "shortcut"),
    "Training": ("settings",),
    "Evaluation": ("protocol", "metric", "task", "interval", "protect", "keep_encoder", "again", "paper"),
    "Running": (
        *("out", "dry_run", "workers", "device", "retry_failed", "launcher", "storage", "track"),
        *("confirm", "yes"),
    ),
    "Output": ("to", "watch", "every", "lines", "recipes", "as_json", "print_code", "version", "help"),
}
"""The help group of every option that is no field of a model, by its name in the code; fields name their own group.

Groups that are not listed, such as that of Slurm's options, stand below these.
"""

USED_MOST = ("ops", "data", "limit", "seeds", "epochs", "image_size", "workers", "out", "dry_run")
"""The options that stand first, in this order, in the help of a command of more than :data:`MANY` options."""
MANY = 30

VALUES = (
    (r"[<\[]([\w.-]+(?:\|[\w.-]+)+)[>\]]", r"\1"),  # the choices
    (r"<int[^>]*>|INTEGER( RANGE)?", "N"),
    (r"<float[^>]*>|FLOAT( RANGE)?", "X"),
    (r"<list\[str\]>|<str>", "TEXT"),
    (r"<path>|<Path>|FILE", "PATH"),
    (r" <list\[Path\]>", ""),
)
"""The words that versions of Typer write for the kind of an option's value, and the words that replace them."""
RANGES = (
    (r"(\d+)<=x<=(\d+)", r"\1 to \2"),
    (r"x>=([\d.]+)", r"at least \1"),
    (r"default: \(([^()]*)\)", r"default: \1"),
)


class Command(TyperCommand):
    """A command whose help is grouped, and whose mistakes are one sentence and exit code 2."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse; print a mistake as one sentence that says what is allowed."""
        given = list(args)
        try:
            rest = super().parse_args(ctx, args)
            _check_finite(ctx, self)
        except Mistake as error:
            hints = f"{_about_spaces(self, error)}{_takers(ctx, error)}"
            sentence = f"{_sentence(error, given)}{hints}; see `{ctx.command_path} --help`"
            with answering(ctx.info_name or "", wanted="--json" in given):
                return _refuse(sentence)
        return rest

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write usage, what the command does, its arguments, and its options in groups."""
        shown = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        arguments = [param for param in shown if isinstance(param, TyperArgument)]
        formatter.write_usage(ctx.command_path, " ".join([*map(_placeholder, arguments), "[OPTIONS]"]))
        with formatter.indentation():
            for paragraph in inspect.cleandoc(self.help or "").split("\n\n"):
                formatter.write_paragraph()
                formatter.write_text(paragraph.replace("\n", " "))
        options = [param for param in shown if not isinstance(param, TyperArgument)]
        for title, params in (("Arguments", arguments), *_grouped(options)):
            if params:
                with formatter.section(title):
                    formatter.write_dl([_row(param, ctx) for param in params], col_max=26)


class Commands(TyperGroup):
    """The group of all commands; an unknown command is refused with the nearest existing one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the first word names."""
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            known = self.list_commands(ctx)
            _refuse(f"unknown command {args[0]!r}; allowed: {', '.join(known)}{nearest(args[0], known)}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options before the command; print a mistake as one sentence."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except Mistake as error:
            return _refuse(f"{_sentence(error, given)}; see `ablate --help`")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write every command with the whole first sentence of its help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_sentence(command.help)) for name, command in commands if command]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _refuse(sentence: str) -> NoReturn:
    typer.echo(f"error: {sentence}", err=True)
    refusal(sentence, ExitCode.USAGE)
    raise typer.Exit(ExitCode.USAGE)


def _check_finite(ctx: Any, command: Any) -> None:
    """Raise a mistake for an option that is no finite number: no range of the parser refuses NaN.

    Args:
        ctx: the context, which holds the options' values.
        command: the command.
    """
    for param in command.params:
        value = ctx.params.get(param.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise typer.BadParameter("Input should be a finite number", ctx=ctx, param=param)


def _sentence(error: Any, given: Sequence[str]) -> str:
    """Return the parser's message as one sentence that names the option and the value given."""
    param, message = getattr(error, "param", None), str(error.message).strip().rstrip(".")
    message = message.removeprefix("Value error, ")
    if param is None or not message or type(error).__name__ == "MissingParameter":
        text = " ".join(str(error.format_message()).split()).rstrip(".").replace(". Choose from:", "; allowed:")
        return text[:1].lower() + text[1:]
    name = max(param.opts, key=len)
    if "Input should be" not in message:
        return f"{name}: {message}"
    return f"{name} {must(message)}{_stood(given, param.opts)}"


def _stood(given: Sequence[str], names: Sequence[str]) -> str:
    """Return ``, not '0'``: the value that the user gave for an option."""
    stood = ""  # if an option is given twice, the last one counts
    for index, word in enumerate(given):
        if word in names and index + 1 < len(given):
            stood = f", not {given[index + 1]!r}"
        if word.partition("=")[0] in names and "=" in word:
            stood = f", not {word.partition('=')[2]!r}"
    return stood


def _about_spaces(command: Command, error: Exception) -> str:
    """Return a hint for lists that a shell has cut at their spaces, such as ``--ops crop, color``."""
    takes_lists = any((getattr(param, "help", None) or "").endswith("comma-separated") for param in command.params)
    if takes_lists and "unexpected extra argument" in str(error).lower():
        return '; write a list with no spaces after its commas, or in quotes: --ops "crop, color(strength=0.5)"'
    return ""


def _takers(ctx: Any, error: Exception) -> str:
    """Return a hint at the commands that take an option which this one does not have, such as ``--untrained-seeds``."""
    option = getattr(error, "option_name", None)
    every = getattr(ctx.find_root().command, "commands", {}).items()
    takers = [f"`ablate {name}`" for name, other in every if any(option in param.opts for param in other.params)]
    return f"; it is an option of {', '.join(takers)}" if takers else ""


def _first_sentence(text: str | None) -> str:
    return (
        re.split(r"(?<=[.:])\s", inspect.cleandoc(text or "").split("\n\n")[0].replace("\n", " "))[0].rstrip(":.") + "."
    )


def _placeholder(param: Any) -> str:
    """Return ``DIR``, ``DIR...`` or ``[COMPOSITION...]``."""
    name = (param.metavar or param.name or "").upper().strip("[].")
    name = f"{name}..." if param.nargs == -1 else name
    return name if param.required else f"[{name}]"


def _grouped(options: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    if len(options) > MANY:
        first = [option for name in USED_MOST for option in options if option.name == name]
        yield "Used most", first
        options = [option for option in options if option not in first]
    by_name = {name: title for title, names in GROUPS.items() for name in names}
    titles = [option.rich_help_panel or by_name.get(option.name, "Further options") for option in options]
    for title in dict.fromkeys((*GROUPS, *titles)):
        yield title, [option for option, own in zip(options, titles, strict=True) if own == title]


def _row(param: Any, ctx: Any) -> tuple[str, str]:
    """Return ``--seeds N`` and its help, with the default and the range in words."""
    declared, text = param.get_help_record(ctx) or ("", "")
    for pattern, word in VALUES:
        declared = re.sub(pattern, word, declared)
    for pattern, word in RANGES:
        text = re.sub(pattern, word, text)
    if isinstance(param, TyperArgument):
        return _placeholder(param).strip("[]"), text.replace("  [required]", "")
    return declared, text
