"""Which arms does an ablation compare?

Each arm is a Condition over the same episodes; the names are those that `results` and the report know.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from taskaware.conditioners import Switches
from taskaware.core.seeds import generator
from taskaware.encoders import TextEncoder
from taskaware.episodes import Draw, EncodedTask, Words
from taskaware.episodes.tasks import Floats
from taskaware.evaluation.evaluate import Condition
from taskaware.evaluation.results import NONE, SOURCES, TRUE, only
from taskaware.evaluation.shapley import coalitions

Change = Callable[[Words, Draw, np.random.Generator], Words]

_SALAD = [
    "apple",
    "river",
    "seven",
    "chair",
    "purple",
    "window",
    "quickly",
    "dance",
    "stone",
    "under",
    "paper",
    "cloud",
    "spoon",
    "forty",
    "green",
    "ladder",
    "moon",
    "carpet",
    "whistle",
    "banana",
    "corner",
    "silver",
    "tractor",
    "blanket",
    "northern",
    "pencil",
    "sugar",
    "bridge",
    "gentle",
    "hammer",
]

Factor = Literal[
    "description",
    "wordings",
    "background",
    "label texts",
    "memory",
    "film",
    "prototypes",
    "gate trial",
    "clear examples",
    "attribution",
]
FACTORS: tuple[Factor, ...] = get_args(Factor)


def build_arms(
    factors: Sequence[Factor], tasks: Sequence[EncodedTask], encoder: TextEncoder, descriptions: Floats
) -> dict[str, Condition]:
    """Arm name -> condition. descriptions [R, D] are those of other tasks, to shuffle with."""
    arms = {TRUE: Condition(), NONE: subset(())}
    groups: Mapping[Factor, Callable[[], dict[str, Condition]]] = {
        "description": lambda: _description(encoder, descriptions),
        "wordings": lambda: _wordings(tasks),
        "background": lambda: {"background: off": Condition(words=_hide("background"))},
        "label texts": _labels,
        "memory": lambda: {"memory: off": Condition(memory="off"), "memory: random": Condition(memory="random")},
        "film": lambda: {"FiLM: off": Condition(switches=Switches(film=False))},
        "prototypes": lambda: {"prototype modulation: off": Condition(switches=Switches(prior=False))},
        "gate trial": lambda: {"gate: not tried on examples": Condition(switches=Switches(trial=False))},
        "clear examples": lambda: {"clear examples: not followed": Condition(switches=Switches(clear=False))},
        "attribution": _attribution,
    }
    for factor in factors:
        arms |= groups[factor]()
    return arms


def subset(sources: Sequence[str]) -> Condition:
    """Only these sources of words; none of them is the conditioner that reads nothing but examples."""
    hidden = [source for source in SOURCES if source not in sources]
    return Condition(words=_hide(*hidden), memory="on" if "memory" in sources else "off")


def nonsense_labels(encoder: TextEncoder, count: int = 400) -> Condition:
    """Random words in place of every label text, other ones for every class of an episode."""
    rng = generator("nonsense label texts")
    salads = encoder.encode([" ".join(rng.choice(_SALAD, size=4, replace=False)) for _ in range(count)])

    def change(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        number = len(words.labels)
        return replace(words, labels=salads[rng.choice(count, size=number, replace=number > count)])

    return Condition(words=change)


def label_wording(index: int) -> Condition:
    """The label texts in another of their wordings (modulo how many there are); the description stays."""
    return Condition(
        words=lambda words, draw, rng: replace(
            words, labels=draw.task.words.labels[draw.classes, index % draw.task.words.labels.shape[1]]
        )
    )


def _attribution() -> dict[str, Condition]:
    proper = [each for each in coalitions(SOURCES) if 0 < len(each) < len(SOURCES)]
    ordered = [tuple(source for source in SOURCES if source in each) for each in proper]
    return {only(*sources): subset(sources) for sources in ordered}


def _hide(*sources: str) -> Change:
    def change(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        kept = [present and name not in sources for name, present in zip(SOURCES, words.present, strict=False)]
        return replace(words, present=(kept[0], kept[1], kept[2]))

    return change


def _description(encoder: TextEncoder, descriptions: Floats) -> dict[str, Condition]:
    rng = generator("random words")
    salads = encoder.encode([" ".join(rng.choice(_SALAD, size=10)) for _ in range(20)])

    def another(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        return _say(words, descriptions[int(rng.integers(len(descriptions)))])

    def nonsense(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        return _say(words, salads[int(rng.integers(len(salads)))])

    arms = {
        "description: none": Condition(words=_hide("description")),
        "description: random words": Condition(nonsense),
    }
    return arms | ({"description: shuffled": Condition(another)} if len(descriptions) else {})


def _say(words: Words, description: Floats) -> Words:
    return replace(words, description=description, present=(True, *words.present[1:]))


def _wordings(tasks: Sequence[EncodedTask]) -> dict[str, Condition]:
    count = min(len(task.words.descriptions) for task in tasks)

    def use(index: int) -> Change:
        return lambda words, draw, rng: _say(words, draw.task.words.descriptions[index])

    return {f"description: wording {index + 1}": Condition(use(index)) for index in range(count)} if count > 1 else {}


def _labels() -> dict[str, Condition]:
    def shuffle(words: Words, draw: Draw, rng: np.random.Generator) -> Words:
        count = len(words.labels)
        shift = 1 + int(rng.integers(count - 1))
        order = rng.permutation(count)
        wrong = np.empty(count, dtype=np.int64)
        wrong[order] = order[(np.arange(count) + shift) % count]  # no class keeps its own text
        return replace(words, labels=words.labels[wrong])

    return {"label texts: off": Condition(words=_hide("label texts")), "label texts: shuffled": Condition(shuffle)}
