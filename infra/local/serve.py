"""Runs the local cloud so that it and the functions that it starts die when the pipe
on standard input closes: the process that holds the other end is gone, or wants it.
Gives the children of a Map Run the history that AWS gives them."""

import contextvars
import json
import os
import runpy
import signal
import sys
import threading
from pathlib import Path

# The child execution that this thread runs, and its states.
child = contextvars.ContextVar("child", default=None)


def record_children(step_functions):
    """ministack records the states of a parent only. Here a child's states are
    recorded too, as StateEntered and StateExited of GetExecutionHistory."""
    run_states = step_functions._run_sub_machine

    def run_child(states, start_at, input_data, execution, ctx):
        child.set((execution, states) if "mapRunArn" in execution else None)
        return run_states(states, start_at, input_data, execution, ctx)

    def record(execution, event, field, name, payload):
        kind = "stateEnteredEventDetails" if field == "input" else "stateExitedEventDetails"
        details = {kind: {"name": name, field: json.dumps(payload)}}
        step_functions._add_event(execution, event, details)

    def recorded(kind, execute):
        def run(state, payload, *rest):
            if child.get() is None:
                return execute(state, payload, *rest)
            execution, states = child.get()
            name = rest[-1]["State"]["Name"]
            record(execution, f"{kind}StateEntered", "input", name, payload)
            output, following = execute(state, payload, *rest)
            record(execution, f"{kind}StateExited", "output", name, output)
            # These two have no function of their own to wrap.
            end = states.get(following, {}).get("Type")
            if end in ("Succeed", "Fail"):
                record(execution, f"{end}StateEntered", "input", following, output)
            return output, following

        return run

    step_functions._run_sub_machine = run_child
    for kind in ("Pass", "Task", "Choice", "Wait"):
        name = f"_execute_{kind.lower()}"
        setattr(step_functions, name, recorded(kind, getattr(step_functions, name)))


def die_with_the_pipe():
    while os.read(0, 1):
        pass
    try:
        # The functions first, and waited for: nobody else would, and they would be seen
        # as processes that are over until somebody does.
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    except OSError:
        pass  # One ended by itself: whoever is left ends with the group.
    finally:
        os.killpg(0, signal.SIGKILL)


def children():
    return [
        int(pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


def main():
    threading.Thread(target=die_with_the_pipe, daemon=True).start()
    from ministack.services import stepfunctions

    record_children(stepfunctions)
    sys.argv = ["ministack"]
    runpy.run_module("ministack", run_name="__main__", alter_sys=True)


main()
