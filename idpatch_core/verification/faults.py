"""What is wrong with an image: who is missing, doubled, swapped or does not resemble themselves."""

from typing import NamedTuple

from .verdict import Verdict, describe_people


class Fault(NamedTuple):
    """What is wrong with one person, in words.

    `at_placement` is whether the face at the person's placement is wrong, so that refining the
    person can help; a second face of the person elsewhere is not.
    """

    person: int
    words: str
    at_placement: bool


def find_faults(verdict: Verdict, least_similarity: float = 0.0) -> list[Fault]:
    """Return what is wrong with the people who have a placement, in their order.

    A person is missing, resembles another one, scores less than `least_similarity`, or appears
    more than once.
    """
    faults = []
    for person, findings in enumerate(describe_people(verdict)):
        name, similarity, again = (findings[k] for k in ("name", "similarity", "duplicates"))
        if findings["point"] is None:
            continue
        if not findings["correct"]:
            faults.append(Fault(person, f"{name}: {findings['verdict']}", True))
        elif similarity < least_similarity:
            words = f"{name}: similarity {similarity:.3f}, below {least_similarity:g}"
            faults.append(Fault(person, words, True))
        if again:
            faults.append(Fault(person, f"{name}: {again} more elsewhere", False))
    return faults
