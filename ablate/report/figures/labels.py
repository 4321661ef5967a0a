"""The labels in figures: the names of metrics, and short names of ops."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.config.measure import IN_WORDS, SUFFIXES
from ablate.config.protocols import WITH_SHARES
from ablate.console import filled

LONGEST, UPRIGHT = 20, 8  # characters of a label beyond which it is shortened, and beyond which it is vertical
NAMES = {
    "linear_top1": "linear evaluation top-1 on test (%)",
    "linear_val_top1": "linear evaluation top-1 on validation (%)",
    "knn_top1": "kNN top-1 on test (%)",
    "linear_balanced_accuracy": "linear evaluation balanced accuracy on test (%)",
    "linear_val_balanced_accuracy": "linear evaluation balanced accuracy on validation (%)",
    "knn_balanced_accuracy": "kNN balanced accuracy on test (%)",
    "sgd_balanced_accuracy": "linear evaluation balanced accuracy by the paper's SGD on test (%)",
    "online_balanced_accuracy": "online probe balanced accuracy on test (%)",
    "classifier_balanced_accuracy": "supervised classifier balanced accuracy on test (%)",
    "z_linear_balanced_accuracy": "linear evaluation of z balanced accuracy on test (%)",
    "linear_macro_f1": "linear evaluation macro F1 on test (%)",
    "linear_auroc": "linear evaluation AUROC on test (%)",
    "linear_average_precision": "linear evaluation average precision on test (%)",
    "linear_val_macro_f1": "linear evaluation macro F1 on validation (%)",
    "linear_val_auroc": "linear evaluation AUROC on validation (%)",
    "linear_val_average_precision": "linear evaluation average precision on validation (%)",
    "linear_r2": "ridge regression R² on test (%)",
    "linear_val_r2": "ridge regression R² on validation (%)",
    "z_linear_macro_f1": "linear evaluation of z macro F1 on test (%)",
    "z_linear_auroc": "linear evaluation of z AUROC on test (%)",
    "z_linear_average_precision": "linear evaluation of z average precision on test (%)",
    "sgd_top1": "linear evaluation top-1 by the paper's SGD on test (%)",
    "online_top1": "online probe top-1 on test (%)",
    "classifier_top1": "supervised classifier top-1 on test (%)",
    "z_linear_top1": "linear evaluation of z top-1 on test (%)",
    "rotation_top1": "rotation prediction top-1 on test (%)",
    "rotation_val_top1": "rotation prediction top-1 on validation (%)",
} | {
    f"{name}{SUFFIXES[measure]}": f"{words}, {IN_WORDS[measure]} on test (%)"
    for name, words in WITH_SHARES.items()
    for measure in SUFFIXES
}


def spelled_out(ops: Sequence[str], columns: int) -> list[str]:
    """Return the full names of shortened labels, in lines of at most ``columns`` characters."""
    pairs = zip(short_names(ops), ops, strict=True)
    return [line for name, op in pairs if name != op for line in filled(f"{name}: {op}", columns)]


def short_names(ops: Sequence[str]) -> list[str]:
    """Return the labels of rows and columns.

    A name of more than 20 characters is cut to the op's own name, with a number.
    """
    names = []
    for number, op in enumerate(ops, start=1):
        own = op.partition("(")[0].removeprefix("kornia.")
        names.append(op if len(op) <= LONGEST else f"{own if len(own) <= 15 else own[:14] + '…'} [{number}]")
    return names


def heading_height(ops: Sequence[str]) -> float:
    """Return the inches that the column labels and the title take."""
    longest = max(len(name) for name in short_names(ops))
    return 0.5 + 0.062 * longest if longest > UPRIGHT else 0.55
