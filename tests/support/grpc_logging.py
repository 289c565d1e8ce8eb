"""A Cloud Logging that speaks gRPC, for one test: a process that writes down what it takes.

Run as ``python grpc_logging.py FILE SCRIPT [PEM KEY]``. It prints its port, serves until its stdin
ends, and appends each request to FILE as one line of JSON. SCRIPT is a JSON list of what the first
requests meet. An item is the name of a status, or a mapping from an entry's index to a code and a
message.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from google.cloud.logging_v2.types import (
    WriteLogEntriesPartialErrors,
    WriteLogEntriesRequest,
    WriteLogEntriesResponse,
)
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_status import rpc_status

_METHOD = "/google.logging.v2.LoggingServiceV2/WriteLogEntries"


class _Logging(grpc.GenericRpcHandler):
    def __init__(self, file: Path, script: list[Any]) -> None:
        self._file, self._script = file, script

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != _METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(
            self._write,
            WriteLogEntriesRequest.deserialize,
            WriteLogEntriesResponse.serialize,
        )

    def _write(
        self, request: WriteLogEntriesRequest, context: grpc.ServicerContext
    ) -> WriteLogEntriesResponse:
        outcome = self._script.pop(0) if self._script else "OK"
        body = json.loads(WriteLogEntriesRequest.to_json(request))
        left = context.time_remaining()
        with self._file.open("a") as file:
            file.write(json.dumps({"outcome": outcome, "body": body, "left": left}) + "\n")
        if isinstance(outcome, dict):
            context.abort_with_status(rpc_status.to_status(_partial(outcome)))
        elif outcome != "OK":
            context.abort(grpc.StatusCode[outcome], f"the script says {outcome}")
        return WriteLogEntriesResponse()


def _partial(outcome: dict[str, list[Any]]) -> status_pb2.Status:
    errors = WriteLogEntriesPartialErrors(
        log_entry_errors={
            int(index): status_pb2.Status(code=code, message=message)
            for index, (code, message) in outcome.items()
        }
    )
    detail = any_pb2.Any(
        type_url="type.googleapis.com/google.logging.v2.WriteLogEntriesPartialErrors",
        value=WriteLogEntriesPartialErrors.serialize(errors),
    )
    return status_pb2.Status(code=3, message="some entries were not stored", details=[detail])


def _serve(file: str, script: str, *tls: str) -> None:
    server = grpc.server(ThreadPoolExecutor(4), handlers=[_Logging(Path(file), json.loads(script))])
    if tls:
        pem, key = (Path(path).read_bytes() for path in tls)
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, pem)]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None).wait(5)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
