"""What must hold when everything has ended: nothing lost, nothing twice, and books that agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from redis import Redis
from rq.job import Job, JobStatus
from rq.registry import ScheduledJobRegistry, StartedJobRegistry, clean_registries

from continuations.delivery import queue_named
from continuations.identifiers import rq_job_id
from continuations.models import Continuation, Execution
from tests.shop.models import Applied

from .jobs import ASIDE, CHILD_ITEMS, Family, shapes

QUEUE = "default"


@dataclass
class Findings:
    """What the oracle counted, and everything that is wrong."""

    continuations: int = 0
    executions: int = 0
    items: int = 0
    lost: int = 0
    repeated_in_blocks: int = 0
    repeated_plain: int = 0
    # Executions that ended without an outcome of their own.
    died: int = 0
    problems: list[str] = field(default_factory=list)
    # Continuations that something is wrong with.
    suspects: list[Continuation] = field(default_factory=list)

    def blame(self, row: Continuation, problem: str) -> None:
        self.problems.append(f"{row}: {problem}")
        if row not in self.suspects:
            self.suspects.append(row)


def examine(accepted: set[str]) -> Findings:
    """Look at every continuation. `accepted`: runs whose `enqueue` returned."""
    found = Findings()
    runs: Counter[str] = Counter()
    for row in Continuation.objects.all().prefetch_related("steps", "execution_records"):
        (run, n, _), _ = row.arguments
        runs[run] += 1
        found.continuations += 1
        _examine_ledger(row, run, n, found)
        for problem in [*_row_problems(row, n), *_step_problems(row, n), *_execution_problems(row)]:
            found.blame(row, problem)
        if row.job_name == Family.__name__:
            _examine_children(row, run, n, found)
    found.problems += [f"{run}: enqueued, and no continuation" for run in sorted(accepted - set(runs))]
    found.problems += [f"{run}: {times} continuations" for run, times in runs.items() if times > 1]
    found.executions = Execution.objects.count()
    found.died = Execution.objects.filter(outcome="died").count()
    return found


def left_in_rq() -> list[str]:
    """RQ jobs of continuations that are still queued, started or at rest although all continuations have ended."""
    queue = queue_named(QUEUE)
    # What a worker does when it starts and every ten minutes: executions whose record has expired are retried.
    clean_registries(queue, exception_handlers=[])
    problems = [f"{job_id} is queued" for job_id in queue.job_ids if job_id.startswith("c-")]
    started = StartedJobRegistry(queue=queue).get_job_ids(cleanup=False)
    problems += [f"{job_id} is started" for job_id in started]
    problems += [f"{job_id} is scheduled" for job_id in ScheduledJobRegistry(queue=queue).get_job_ids(cleanup=False)]
    problems += [f"{row}: its anchor is open" for row in Continuation.objects.filter(anchor_open=True)[:20]]
    problems += list(_unfinished_anchors(queue.connection))
    return problems


def why_unfinished(row: Continuation) -> str:
    """Everything there is to know of one that does not end."""
    queue = queue_named(row.queue_name)
    fields = ("status", "reason", "delivery", "owner", "executions", "crashes", "errors", "run_after", "check_after")
    lines = [f"{row} {row.arguments[0]}: " + ", ".join(f"{name}={getattr(row, name)}" for name in fields)]
    lines.append(f"  error: {row.error_class} {row.error_message[:300]}")
    for number in range(row.delivery + 1):
        job_id = rq_job_id(row.pk, number)
        status = queue.connection.hget(Job.key_for(job_id), "status")
        position = queue.connection.lpos(queue.key, job_id)
        if status is not None or position is not None:
            lines.append(f"  {job_id}: {status!r}, position {position}")
    lines += [
        f"  execution {each.number}: pid {each.pid} on {each.host}, RQ {each.rq_job_id}:{each.rq_execution_id}, "
        f"{each.started_at:%T.%f} to {each.finished_at and f'{each.finished_at:%T.%f}'}, "
        f"{each.outcome} {each.reason} {each.error_class}"
        for each in list(row.execution_records.all())[-8:]
    ]
    return "\n".join(lines)


def _examine_ledger(row: Continuation, run: str, n: int, found: Findings) -> None:
    shape = shapes[row.job_name]
    items: Counter[str] = Counter(
        Applied.objects.filter(run=run).exclude(item__startswith=ASIDE).values_list("item", flat=True)
    )
    expected = shape.expected(n)
    lost, strange = expected - set(items), set(items) - expected
    repeated = sum(times - 1 for times in items.values())
    found.items += len(expected)
    found.lost += len(lost)
    if lost:
        found.blame(row, f"{len(lost)} items lost: {sorted(lost)[:10]}")
    if strange:
        found.blame(row, f"items of nobody: {sorted(strange)[:10]}")
    if not shape.exactly_once:
        found.repeated_plain += repeated
    elif repeated:
        found.repeated_in_blocks += repeated
        twice = [item for item, times in items.items() if times > 1]
        found.blame(row, f"{repeated} items repeated in blocks: {twice[:10]}")


def _examine_children(row: Continuation, run: str, n: int, found: Findings) -> None:
    wanted = {f"{run}/{i}" for i in range(n)}
    children = Continuation.objects.filter(arguments_json__contains=f'"{run}/')
    got = [child.arguments[0][0] for child in children]
    if set(got) != wanted:
        found.blame(row, f"children {sorted(wanted ^ set(got))}")
    found.lost += len(wanted - set(got)) * (CHILD_ITEMS + 1)


def _row_problems(row: Continuation, n: int) -> Iterator[str]:
    if row.status != "succeeded":
        yield f"{row.status}: {row.error_class} {row.error_message[:200]}"
        return
    if row.owner is not None:
        yield "ended, and has an owner"
    if row.finished_at is None:
        yield "ended, and nobody knows when"
    if row.result != n:
        yield f"its result is {row.result!r}, not {n}"
    if row.crashes or row.errors or row.attempts_json:
        yield f"succeeded with crashes={row.crashes}, errors={row.errors}, attempts={row.attempts_json}"
    if row.resumptions > row.executions - 1:
        yield f"{row.resumptions} resumptions in {row.executions} executions"


def _step_problems(row: Continuation, n: int) -> Iterator[str]:
    steps = list(row.steps.all())
    for position, step in enumerate(steps):
        if step.position != position:
            yield f"step {step} at {step.position}, not {position}"
        if step.status != "completed":
            yield f"step {step} is {step.status}"
        if step.name == "count" and row.job_name != "Manual" and step.processed != n:
            yield f"step {step} counts {step.processed} of {n}"


def _execution_problems(row: Continuation) -> Iterator[str]:
    records = list(row.execution_records.all())
    if [each.number for each in records] != list(range(1, row.executions + 1)):
        yield f"{row.executions} executions, but {[each.number for each in records]}"
    unfinished = [each.number for each in records if each.finished_at is None or not each.outcome]
    if unfinished:
        yield f"executions {unfinished} have no end"
    succeeded = [each.number for each in records if each.outcome == "succeeded"]
    if succeeded != [row.executions]:
        yield f"executions {succeeded} of {row.executions} succeeded"


def _unfinished_anchors(client: Redis) -> Iterator[str]:
    rows = list(Continuation.objects.filter(status="succeeded").only("pk", "delivery"))
    with client.pipeline(transaction=False) as pipeline:
        for row in rows:
            pipeline.hget(Job.key_for(rq_job_id(row.pk)), "status")
        statuses = pipeline.execute()
    for row, status in zip(rows, statuses, strict=True):
        # Gone: it has expired, or Redis was emptied after it had finished.
        if status is not None and status.decode() != JobStatus.FINISHED:
            yield f"{rq_job_id(row.pk)} is {status.decode()} and its continuation has succeeded"
