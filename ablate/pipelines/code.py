"""A composition as code that runs without ablate: a file for kornia, a file for torchvision; needs no torch.

This module only puts text together: the calls that :mod:`ablate.pipelines.steps` writes, and the classes in
:mod:`ablate.pipelines.snippets` that they name. ``tests/report/test_pipelines.py`` runs the files and compares their
output with that of :class:`ablate.TransformPair`.
"""

from __future__ import annotations

import ast
import functools
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version

from ablate.config.base import Branches, OpSpec
from ablate.config.encoder import Normalization
from ablate.config.trial import Base
from ablate.errors import NotExportable
from ablate.pipelines.about import PICTURES, Files, Pair, applied, listed
from ablate.pipelines.steps import Library, crop_steps, steps
from ablate.pipelines.values import call

__all__ = ["Files", "NotExportable", "kornia_code", "torchvision_code"]

SNIPPETS = "ablate.pipelines.snippets"
IMPORTS = {
    "K": "import kornia.augmentation as K",
    "v2": "from torchvision.transforms import v2",
    "torch": "import torch",
    "nn": "from torch import nn",
}
TO_FLOAT = ("v2.ToImage()", "v2.ToDtype(torch.float32, scale=True)", "v2.ToPureTensor()")
WIDTH = 120
Group = tuple[str, tuple[str, ...]]  # a comment and the steps below it


@dataclass(frozen=True)
class Snippet:
    """A file of :mod:`ablate.pipelines.snippets`: its imports, what it defines and names, and the definitions' text."""

    imports: tuple[ast.stmt, ...]
    defines: frozenset[str]
    uses: frozenset[str]
    text: str


@dataclass(frozen=True)
class Framework:
    """What a file has beyond ``views`` for a training framework.

    ``imports`` are whole lines, ``use`` the line that shows how the file is used, ``code`` what stands at its end.
    """

    name: str
    imports: tuple[str, ...]
    use: str
    code: str


def kornia_code(
    specs: Sequence[OpSpec],
    image_size: int,
    branches: Branches,
    base: Base | None,
    files: Files = PICTURES,
    second: Sequence[OpSpec] | None = None,
) -> str:
    """Return a file whose ``views`` makes two views of a float batch ``[N, 3, H, W]`` in [0, 1], with kornia.

    Its ``load`` reads a file as the images of the sweep were read.

    Args:
        specs: the composition, first op first, resolved.
        image_size: side of the views in pixels.
        branches: "one": only the first view is augmented, and both share one base crop; "two": both are augmented.
        base: the base crop that both views share, None if they share none.
        files: how the files of the sweep's images were read.
        second: the ops of the second view, if they differ from the first's.

    Raises:
        NotExportable: a user's own op, an op whose version differs from the one that the code is for, or a variant from
            the official code.
    """
    views = (specs,) if second is None else (specs, second)
    return pipeline_file("kornia", Pair(views, image_size, branches, base), files)


def torchvision_code(
    specs: Sequence[OpSpec],
    image_size: int,
    branches: Branches,
    base: Base | None,
    files: Files = PICTURES,
    second: Sequence[OpSpec] | None = None,
) -> str:
    """Return a file whose ``views`` makes two views of one RGB image, with torchvision's transforms v2.

    Args:
        specs: as in :func:`kornia_code`.
        image_size: as in :func:`kornia_code`.
        branches: as in :func:`kornia_code`.
        base: as in :func:`kornia_code`.
        files: as in :func:`kornia_code`.
        second: as in :func:`kornia_code`.

    Raises:
        NotExportable: as in :func:`kornia_code`, and for a kornia class.
    """
    views = (specs,) if second is None else (specs, second)
    return pipeline_file("torchvision", Pair(views, image_size, branches, base), files)


def pipeline_file(library: Library, pair: Pair, files: Files, framework: Framework | None = None) -> str:
    """Return the file of a pair.

    Args:
        library: the library whose steps are written.
        pair: what the file does.
        files: how the files of the sweep's images were read.
        framework: what to add for a training framework.

    Raises:
        NotExportable: as in :func:`kornia_code` and :func:`torchvision_code`.
    """
    body = f"load = {files.loader}\n\n{_body(library, pair, files.normalize)}"
    body += f"\n\n{framework.code}" if framework else ""
    return written(_header(library, pair, files, framework), body, framework.imports if framework else ())


def written(header: Iterable[str], body: str, lines: Iterable[str] = ()) -> str:
    """Return a Python file: the header as comments, imports, the snippets that the body names, and the body.

    Args:
        header: lines on the file.
        body: the code.
        lines: imports of what the body names beside libraries that are known here.
    """
    snippets, used = needed(body), _names(body)
    known = [line for name, line in IMPORTS.items() if name in used]
    imports = [statement for line in (*known, *lines) for statement in ast.parse(line).body]
    imports += [statement for snippet in snippets for statement in snippet.imports]
    comments = "\n".join(f"# {line}".rstrip() for line in header)
    head = f"{comments}\n\n{_import_lines(imports)}\n"
    return "\n\n".join([head, *(f"{snippet.text}\n" for snippet in snippets), body])


def _header(library: Library, pair: Pair, files: Files, framework: Framework | None) -> list[str]:
    """Return comments on the file: what it is, the images it was written for, and how to use it."""
    packages = ", ".join(f"{name} {_version(name)}" for name in dict.fromkeys((library, "torch")))
    c, size = files.channels, pair.size
    image = f"float [{c}, H, W] in [0, 1]" if files.are_deep else f"PIL {'RGB' if c == 3 else 'L'}"
    end = f"{c}, {size}, {size}]{files.normal}"
    views = f"[N, {end}" if library == "kornia" else f"[{end}"
    if library == "kornia":
        use = [
            f'image = load("image")  # {image}, as the images that were judged',
            f"first, second = views(images)  # float [N, {c}, H, W] in [0, 1] -> two of {views}",
        ]
    else:
        use = [
            f'first, second = views(load("image"))  # {image} -> two of float {views}',
            'data = torchvision.datasets.ImageFolder("images", transform=views, loader=load)',
        ]
    if framework:
        use = [framework.use]
    return [
        f"{pair}: two augmented views of each image with {framework.name if framework else library},",
        "written by ablate; it does not need ablate.",
        "",
        *(line for suffix, specs in zip(pair.suffixes, pair.views, strict=True) for line in listed(suffix, specs)),
        "",
        applied(pair),
        "",
        *(f"    {line}" for line in use),
        "",
        f"Written for {packages}.",
        "The classes below do what the library lacks or does differently.",
    ]


def _body(library: Library, pair: Pair, normalize: Normalization | None) -> str:
    """Return the pipelines ``start`` and ``augment``, of both views or of each, ``normalize`` and ``views``."""
    argument = "images" if library == "kornia" else "image"
    made, augmented = [], []
    if pair.base is not None:
        crop = crop_steps(pair.base.model_dump(), pair.size)
        first = crop.kornia if library == "kornia" else crop.torchvision
        made.append(_start(library, "start", "the crop that both views share", first))
    for suffix, specs in zip(pair.suffixes, pair.views, strict=True):
        groups = [(spec.name, steps(spec, pair.size, library)) for spec in specs]
        if pair.base is None:
            start: Group = ("the stored image's centre", (call("CenterSquare", pair.size),))
            if pair.crops_stored(specs):
                box, *flip = groups[0][1]
                start, groups[0] = ("crop", (box,)), ("crop's flip", tuple(flip))
            made.append(_start(library, f"start{suffix}", *start))
        made.append(_sequence(library, f"augment{suffix}", groups))
        source = f"start{suffix}({argument})" if pair.base is None else "shared"
        augmented.append(f"augment{suffix}({source})")
    if pair.branches == "one":
        said, views = "The augmented crop, and the same crop as it is.", [*augmented, "shared"]
    else:
        said, views = "Two views, augmented independently.", augmented if len(augmented) == 2 else 2 * augmented
    if normalize:
        values = call("Normalize", mean=[*normalize.mean], std=[*normalize.std])
        module = "K" if library == "kornia" else "v2"
        made.append(f"# the input of the sweep's encoders\nnormalize = {module}.{values}")
        views = [f"normalize({view})" for view in views]
    shared = [] if pair.base is None else [f"shared = start({argument})"]
    lines = [f"def views({argument}):", f'"""{said}"""', *shared, f"return {', '.join(views)}"]
    return "\n\n".join([*made, "\n" + "\n    ".join(lines) + "\n"])


def _start(library: Library, name: str, comment: str, first: tuple[str, ...]) -> str:
    """Return the step from the stored image to the size of the views.

    With kornia it is not part of the sequence, which draws every step's parameters for the size that it is given.
    """
    if library == "torchvision":
        return _sequence(library, name, [("values in [0, 1]", TO_FLOAT), (comment, first)])
    (step,) = first
    return f"# {comment}: before the sequence, which draws for images of the size that it is given\n{name} = {step}"


def _sequence(library: Library, name: str, groups: Iterable[Group]) -> str:
    """Return the assignment of a pipeline, one step per line."""
    start, end = ("K.AugmentationSequential(", ")") if library == "kornia" else ("v2.Compose(\n    [", "    ]\n)")
    indent = "    " if library == "kornia" else "        "
    lines = []
    for comment, group in groups:
        if group:
            lines += [f"{indent}# {comment}", *(wrapped(step, indent) for step in group)]
    return "\n".join([f"{name} = {start}", *lines, end]) if lines else f"{name} = nn.Identity()"


def wrapped(argument: str, indent: str) -> str:
    """Return an argument and its comma; if one line is too short, the parts of a call or a list get their own lines."""
    line = f"{indent}{argument},"
    if len(line) <= WIDTH:
        return line
    outer = ast.parse(f"_({argument})", mode="eval").body
    assert isinstance(outer, ast.Call)
    name = f"{outer.keywords[0].arg}=" if outer.keywords else ""
    node = outer.keywords[0].value if outer.keywords else outer.args[0]
    inside: list[ast.expr | ast.keyword]
    if isinstance(node, ast.List):
        opening, inside, closing = "[", [*node.elts], "]"
    elif isinstance(node, ast.Call):
        opening, inside, closing = f"{ast.unparse(node.func)}(", [*node.args, *node.keywords], ")"
    else:
        return line
    lines = [wrapped(ast.unparse(item), f"{indent}    ") for item in inside]
    return "\n".join([f"{indent}{name}{opening}", *lines, f"{indent}{closing},"])


def needed(body: str) -> list[Snippet]:
    """Return the snippets that ``body`` names and those that they build on, dependencies first."""
    ordered: list[Snippet] = []

    def add(names: frozenset[str]) -> None:
        for snippet in _snippets():
            if snippet.defines & names and snippet not in ordered:
                add(snippet.uses - snippet.defines)
                ordered.append(snippet)

    add(_names(body))
    return ordered


@functools.cache
def _snippets() -> tuple[Snippet, ...]:
    sources = sorted(
        (path for path in resources.files(SNIPPETS).iterdir() if path.name.endswith(".py")), key=lambda p: p.name
    )
    return tuple(_snippet(path.read_text(encoding="utf-8")) for path in sources if path.name != "__init__.py")


@functools.cache
def _version(package: str) -> str:
    """Return the version of an installed package; to find it takes milliseconds, and a report writes a dozen files."""
    return version(package)


def _snippet(source: str) -> Snippet:
    statements = ast.parse(source).body
    imports = [s for s in statements if isinstance(s, ast.Import | ast.ImportFrom)]
    defined = [s for s in statements if isinstance(s, ast.ClassDef | ast.FunctionDef)]
    text = "\n".join(source.splitlines()[defined[0].lineno - 1 :])
    outside = tuple(s for s in imports if not (isinstance(s, ast.ImportFrom) and (s.module or "").startswith(SNIPPETS)))
    return Snippet(outside, frozenset(s.name for s in defined), _names(text), text)


def _names(code: str) -> frozenset[str]:
    return frozenset(node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name))


def _import_lines(statements: Iterable[ast.stmt]) -> str:
    """Return the imports, each once, with the standard library's first."""
    plain, members = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    for statement in statements:
        if isinstance(statement, ast.ImportFrom):
            members[statement.module or ""].update(ast.unparse(alias) for alias in statement.names)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                plain[alias.name].add(ast.unparse(alias))
    sections: dict[bool, list[str]] = {True: [], False: []}
    for module in sorted(plain, key=str.lower):
        sections[module in sys.stdlib_module_names] += [f"import {name}" for name in sorted(plain[module])]
    for module in sorted(members, key=str.lower):
        sections[module in sys.stdlib_module_names].append(f"from {module} import {', '.join(sorted(members[module]))}")
    return "\n\n".join("\n".join(lines) for lines in sections.values() if lines)
