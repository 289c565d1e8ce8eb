"""The signal mask of children that code of the application starts in the flush thread.

SIGPIPE is not compared: in the flush thread it stays blocked, whatever the application has set.
"""

from __future__ import annotations

from helpers import check_python

_BODY = """
import logging, signal, subprocess, time
import forklog
from forklog.transports.base import Kind, Verdict

masks = {{}}
usual = signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR2}})
usual |= {{signal.SIGUSR2, signal.SIGPIPE}}  # a broken connection kills no process

def note(where):
    line = subprocess.run(["grep", "SigBlk", "/proc/self/status"], capture_output=True, text=True)
    bits = int(line.stdout.split()[1], 16)
    masks[where] = {{number for number in range(1, 65) if bits >> number - 1 & 1}}
    masks[where].add(signal.SIGPIPE)

{body}

log = logging.Logger("masks")
log.addHandler(handler)
log.error("logged")
if {is_delivered}:
    assert handler.flush(20), handler.stats()
deadline = time.monotonic() + 20
while not masks and time.monotonic() < deadline:
    time.sleep(0.01)
handler.close()
assert masks and all(mask == usual for mask in masks.values()), (usual, masks)
assert set(masks) == {places}, masks
"""


def test_children_of_an_own_transport_have_the_usual_mask() -> None:
    """A child that open, send or close starts has the application's mask, SIGPIPE aside."""
    body = """
class Own:
    def open(self):
        note("open")
        return self
    def send(self, entries, timeout):
        note("send")
        return Verdict(Kind.DELIVERED)
    def close(self):
        note("close")
handler = forklog.CloudLoggingHandler(transport=Own(), project="p")
"""
    check_python(_BODY.format(body=body, is_delivered=True, places={"open", "send", "close"}))


def test_children_of_a_client_s_factory_have_the_usual_mask() -> None:
    """A child that the factory of a client starts has it as well."""
    body = """
from forklog.transports.google import ClientTransport
def factory():
    note("factory")
    raise RuntimeError
handler = forklog.CloudLoggingHandler(
    transport=ClientTransport(factory), project="p", shutdown_timeout=0.1, last_resort="none")
"""
    check_python(_BODY.format(body=body, is_delivered=False, places={"factory"}))


def test_children_of_the_application_s_credentials_have_the_usual_mask() -> None:
    """A child that credentials start for a token, as gcloud or another program, has it as well."""
    body = """
import google.auth.credentials
class Own(google.auth.credentials.Credentials):
    token = "t"
    def refresh(self, request):
        pass
    def before_request(self, *args):
        note("before_request")
        raise RuntimeError
handler = forklog.CloudLoggingHandler(
    credentials=Own(), endpoint="http://127.0.0.1:9", project="p", shutdown_timeout=0.1,
    last_resort="none")
"""
    check_python(_BODY.format(body=body, is_delivered=False, places={"before_request"}))
