"""What do the README files in run folders and adapted tasks say?"""

from collections.abc import Mapping, Sequence

from taskaware.core.values import TaskCard
from taskaware.pipeline.explanation import Explanation


def run_card(name: str, facts: Mapping[str, str], results: Sequence[Mapping[str, str]]) -> str:
    """A model card: what the model was trained on, validation results, limits. facts are shown as a list."""
    lines = ["---", "library_name: taskaware", "tags: [few-shot, meta-learning, text-classification]", "---", ""]
    lines += [f"# {name}", "", "A few-shot learner that reads task descriptions, trained by taskaware.", ""]
    lines += ["## How it was trained", "", *(f"- {key}: {value}" for key, value in facts.items()), ""]
    if results:
        columns = list(results[0])
        lines += ["## Results on validation episodes", "", _row(columns), _row(["---"] * len(columns))]
        lines += [_row([row[column] for column in columns]) for row in results] + [""]
    lines += [
        "## Use",
        "",
        f"    taskaware adapt path/to/{name} --card task.md --examples few.csv --out adapted",
        "    taskaware predict adapted new.csv --out predictions.csv",
        "",
        "## Limits",
        "",
        "- It knows the kinds of questions that its training tasks ask. A question unlike all of them is answered in",
        "  the frozen encoder's own space, which follows the subject of a text.",
        "- Short texts in the encoder's language. Probabilities are calibrated on training tasks, not on yours.",
        "- The memory holds averages of training texts (class prototypes) and their tasks' words.",
        "",
    ]
    return "\n".join(lines)


def adapted_card(card: TaskCard, explanation: Explanation) -> str:
    """The account of one adapted task."""
    lines = [f"# {card.id}", "", card.description or "(no description)", "", "## Labels", ""]
    lines += [_row(["label", "text", "weight of examples against words"]), _row(["---"] * 3)]
    lines += [_row([name, text, f"{explanation.gates[name]:.2f}"]) for name, text in card.labels.items()]
    lines += ["", "## Past tasks that it builds on", "", _row(["task", "description", "labels", "attention"])]
    lines += [_row(["---"] * 4)]
    lines += [
        _row([each.id, f"{each.description:.2f}", f"{each.labels:.2f}", f"{each.attention:.2f}"])
        for each in explanation.past_tasks[:8]
    ]
    lines += [_row(["(the frozen space)", "", "", f"{explanation.identity:.2f}"]), ""]
    lines += ["## What each source changed", "", _row(["source", "shift of predictions", "accuracy", "log-likelihood"])]
    lines += [_row(["---"] * 4)]
    lines += [
        _row([each.source, f"{each.shift:.3f}", _signed(each.accuracy), _signed(each.log_likelihood)])
        for each in explanation.effects
    ]
    lines += ["", "Shift: mean total variation distance without the source. Accuracy and log-likelihood: what the", ""]
    lines[-1] = "examples gain from it, each held out in turn; positive means that it helps."
    return "\n".join(lines) + "\n"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
