"""What has to hold before an engine is executed: its folders, and no queue of another program."""

from __future__ import annotations

from launcher.errors import ExitCode, Problem
from launcher.host.kernel import file_clock
from launcher.keeper.engine_process import prepare_folders
from launcher.keeper.failure import Failure
from launcher.keeper.leftovers import file_identity
from launcher.keeper.record import Record
from launcher.plan.model import LaunchPlan
from launcher.preparation.owners import Owners, queue_remedy


def missing(plan: LaunchPlan, record: Record) -> Failure | None:
    """Make the folders and look at what is there before the start; None where all is well.

    The private folder is claimed in the record's state.
    """
    try:
        prepare_folders(plan)
        temporary = file_identity(plan.temporary_folder)
    except OSError as error:
        return _failure("folder", f"a folder cannot be made: {error}")
    record.state.temporary = [temporary] if temporary else []
    for queue in record.claims.look_before(file_clock()):
        # Of this instance's own earlier run none is left: that was cleaned up before.
        whose, remedy = queue_remedy(queue, Owners(), "give the queue another port")
        return _failure(
            "queue-exists",
            "a System V message queue that this engine would use exists already"
            f" (id {queue.ident}, {queue.messages} unread messages, uid {queue.uid}; {whose}):"
            " it would mix up answers",
            remedy,
        )
    return None


def _failure(code: str, message: str, remedy: str | None = None) -> Failure:
    return Failure(Problem(code, message, None, remedy), ExitCode.PRECONDITION)
