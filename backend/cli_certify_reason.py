"""Why nothing may be accepted unseen, and what to do next: the words of a refusal."""

from __future__ import annotations

from backend.confidence.certificate import Refusal


def reason(refusal: Refusal, project: int | None = None) -> str:
    """Why, and what to do next: a sentence or two. `project`: else the rows are those of a file."""
    if refusal.why == "no audit":
        return _no_audit(refusal, project)
    if refusal.why == "labels used in fitting":
        return (
            "the confidences were fitted on the audit's own labels, which makes them look better than they are. Have "
            f"{refusal.at_least:,} more tasks or more, drawn at random, labelled and not used in fitting, or say that "
            "each was left out of its own fit (cross-fitted)."
        )
    if refusal.why == "no scores":
        return "no prediction has a confidence, so that nothing says which to accept. Have the tasks scored first."
    if refusal.why == "not random":
        return (
            f"the {refusal.audited:,} labelled tasks cannot be a random audit, for their confidences are not spread "
            "like those of the others. Have all that was drawn at random labelled, and tell it apart from what people "
            "verified otherwise."
        )
    return _too_little(refusal, project)


def _no_audit(refusal: Refusal, project: int | None) -> str:
    if project is not None and not refusal.tasks:
        return f"the current version has answered no task yet. Answer them first: {_run(project)}."
    if refusal.waiting:
        none = "the one task" if refusal.waiting == 1 else f"none of the {refusal.waiting:,} tasks"
        not_yet = "is not annotated yet" if refusal.waiting == 1 else "is annotated yet"
        return (
            f"{none} of the random audit {not_yet}, and it takes {refusal.at_least:,} that are."
            f"{_what_next(refusal, project)}"
        )
    if project is not None and refusal.unanswered:
        return (
            f"it takes {refusal.at_least:,} labels of the random audit, and none is of a task that the current version "
            f"has answered.{_what_next(refusal, project)}"
        )
    none = "there is no random audit" if refusal.unanswered is None else "no task of the random audit counts"
    told = (
        f"{none}, and what people verified in another order says nothing about the tasks that nobody looked at. Have "
        f"{refusal.at_least:,} tasks or more, drawn at random, labelled by people who do not see the prediction"
    )
    return f"{told}." if project is None else f"{told}.{_what_next(refusal, project)}"


def _too_little(refusal: Refusal, project: int | None) -> str:
    labels = f"{refusal.audited:,} label{'' if refusal.audited == 1 else 's'}"
    what = "too few" if refusal.why == "too few labels" else "too few for so many errors"
    undecided = ""
    if refusal.undecided:
        undecided = f" or undecided ({refusal.undecided:,}, skipped or with people who disagree, that count as wrong)"
    told = f"the audit's {labels}, {refusal.errors:,} of them against the prediction{undecided}, are {what}. "
    told += f"It takes {refusal.at_least:,} more at least{_why_so_many(refusal)}"
    left = refusal.tasks - refusal.audited
    if project is None and left and (refusal.at_least or 0) > left:
        return f"{told} and {left:,} tasks are left: have people check them."
    told += ", drawn at random, with no further error among the most confident"
    if refusal.for_half is None:
        told += "; with errors as so far half of the tasks cannot be accepted, however many are labelled."
    else:
        told += f"; with errors as so far about {refusal.for_half:,} more to accept half of the tasks."
    return told + _what_next(refusal, project)


def _what_next(refusal: Refusal, project: int | None) -> str:
    """What to do about audit labels that are missing; begins with a space."""
    waiting, missing = refusal.waiting, refusal.at_least or 0
    if project is None:
        return f" {waiting:,} rows of the audit have no gold yet: have them labelled." if waiting else ""
    if refusal.unanswered:
        are = "1 is" if refusal.unanswered == 1 else f"{refusal.unanswered:,} are"
        return f" {are} annotated and not answered by the current version yet: answer them first, {_run(project)}."
    if missing > waiting + refusal.unseen:
        free = waiting + refusal.unseen
        some = f"only {free:,} answered tasks are left that nobody has labelled: have people check them all"
        return f" And {some if free else 'no answered task is left that nobody has labelled'}."
    draw = f"`prelabel audit begin --project {project} -n {missing - waiting}`"
    if not waiting:
        return f" Draw them: {draw}."
    annotate = f"Annotate the {waiting:,} that wait (`prelabel audit show --project {project}` tells how far they are)"
    return f" {annotate}." if waiting >= missing else f" {annotate}, and draw {missing - waiting:,} more: {draw}."


def _run(project: int) -> str:
    return f"`prelabel run --project {project} --wait`"


def _why_so_many(refusal: Refusal) -> str:
    """What makes it more than a first certificate of raw scores takes, in brackets; begins with a space."""
    causes = []
    if refusal.cross_fitted:
        causes.append("the scores are fitted on the audit too")
    if refusal.next_look is not None and refusal.next_look > 1:
        causes.append(f"it will be look {refusal.next_look} at this audit, each held more strictly than the one before")
    return f" (reckoned so because {' and '.join(causes)})" if causes else ""
