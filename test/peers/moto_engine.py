"""
Runs state machines on moto's Step Functions engine, for moto.test.ts.

stdin:  a JSON array of {"name", "definition", "input", "tasks": {state: [{"Return": …} | {"Throw": {"Error", "Cause"}}]}}
stdout: a JSON array, in the same order, of {"status", "output", "error", "cause", "events"}, or {"refused": why}

moto carries LocalStack's interpreter without what evaluates JSONata (https://github.com/getmoto/moto/issues/10105) and
without what loads answers for tasks. Both are filled in here, before the modules that use them are loaded; nothing else
of the engine is touched. Tasks are not carried out: each attempt gets its answer from `tasks`.
"""

import json
import math
import sys
import time

import jsonata as jsonata_python
import moto.stepfunctions.parser.asl.jsonata.jsonata as engine_jsonata
from moto.stepfunctions.parser.asl.utils.encoding import to_json_str

WAIT_SECONDS = 60


def plain(value):
    """JSONata's own null, sequences and functions as JSON."""
    if value is jsonata_python.Utils.NULL_VALUE:
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not a number that JSON has")
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    # What is left are functions: the engine asks again what type a string is, and refuses it.
    return "<function>"


def evaluate(expression):
    try:
        return plain(jsonata_python.Jsonata(expression).evaluate(None))
    except Exception as error:
        raise engine_jsonata.JSONataException("UNKNOWN", str(error)) from error


def encode_declarations(bindings):
    """The engine's own writes strings without escaping the quotes inside them."""
    return "".join(f"{name}:={to_json_str(value)};" for name, value in bindings.items())


engine_jsonata._eval_jsonata = evaluate
engine_jsonata.encode_jsonata_variable_declarations = encode_declarations

from moto.stepfunctions.parser.backend import execution_worker  # noqa: E402
from moto.stepfunctions.parser.mocking import mock_config  # noqa: E402
from moto.stepfunctions.parser.models import StepFunctionsParserBackend  # noqa: E402

# More retries than any machine of the suite has: the last answer is repeated.
REPEATS = 30


def mocked(state, answers):
    made = []
    for index, answer in enumerate(answers):
        end = index if index < len(answers) - 1 else index + REPEATS
        if "Throw" in answer:
            thrown = answer["Throw"]
            made.append(mock_config.MockedResponseThrow(index, end, thrown.get("Error"), thrown.get("Cause")))
        else:
            made.append(mock_config.MockedResponseReturn(index, end, answer["Return"]))
    return mock_config.StateMockedResponses(state, state, made)


answers_by_machine = {}
make_worker = execution_worker.ExecutionWorker.__init__


def make_worker_with_answers(self, evaluation_details, *args, **kwargs):
    make_worker(self, evaluation_details, *args, **kwargs)
    self._mock_test_case = answers_by_machine[evaluation_details.state_machine_details.name]


execution_worker.ExecutionWorker.__init__ = make_worker_with_answers


def start(backend, index, case):
    name = f"machine-{index}"
    answers = [mocked(state, given) for state, given in case.get("tasks", {}).items()]
    answers_by_machine[name] = mock_config.MockTestCase(name, "case", answers)
    role = "arn:aws:iam::111122223333:role/machine"
    machine = backend.create_state_machine(name=name, definition=json.dumps(case["definition"]), roleArn=role)
    return backend.start_execution(machine.arn, name=f"run-{index}", execution_input=json.dumps(case.get("input", {})))


def result(execution):
    deadline = time.monotonic() + WAIT_SECONDS
    while execution.stop_date is None and time.monotonic() < deadline:
        time.sleep(0.05)
    described = execution.to_describe_output()
    return {
        "status": described["status"] if execution.stop_date else "RUNNING",
        "output": json.loads(described["output"]) if "output" in described else None,
        "error": described.get("error"),
        "cause": described.get("cause"),
        "events": [
            {key: value for key, value in event.items() if key != "timestamp"}
            for event in execution.to_history_output()["events"]
        ],
    }


def main():
    backend = StepFunctionsParserBackend("us-east-1", "111122223333")
    started = []
    for index, case in enumerate(json.load(sys.stdin)):
        try:
            started.append(start(backend, index, case))
        except Exception as error:
            started.append(error)
    results = [
        {"refused": str(item)} if isinstance(item, Exception) else result(item) for item in started
    ]
    json.dump(results, sys.stdout, default=str)


main()
