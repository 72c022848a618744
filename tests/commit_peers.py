"""Peers that promise to keep objects: pynetdicom's SCP, reporting in every way; parts of fakes."""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading

from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.transport import ThreadedAssociationServer

from dicomloom.network import command as commands
from network_peers import heard, p_data

PUSH_MODEL, WELL_KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


def objects(count, first=1):
    return [(CT, f"1.2.3.{number}") for number in range(first, first + count)]


def item(sop_class, uid, reason=None):
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = sop_class, uid
    if reason is not None:
        made.FailureReason = reason
    return made


def result(transaction, held=(), failed=()):
    """The data set of a report; `failed` has (class, instance, reason)."""
    made = Dataset()
    made.TransactionUID = transaction
    if held:
        made.ReferencedSOPSequence = [item(*one) for one in held]
    if failed:
        made.FailedSOPSequence = [item(*one) for one in failed]
    return made


def references(asked):
    return [
        (str(one.ReferencedSOPClassUID), str(one.ReferencedSOPInstanceUID))
        for one in asked.ReferencedSOPSequence
    ]


class Provider:
    """pynetdicom's SCP; what it is asked, and what its reports were answered.

    `answer` makes reports, pairs of event type and data set, of what was asked: by default that all
    is kept.
    """

    def __init__(self, way, answer, *, statuses=(), listener=None):
        self.way, self.answer, self.statuses = way, answer or promise, list(statuses)
        self.listener = listener
        self.asked, self.answered, self.roles = [], [], []
        self.owed, self.threads = [], []
        self.speaking = threading.Lock()  # two on one association would take each other's answers

    def act(self, event):
        asked = event.action_information
        asked.decode()
        self.asked.append(asked)
        status = self.statuses.pop(0) if self.statuses else 0x0000
        if status == 0x0000:
            reports = self.answer(asked)
            if self.way == "same":
                self._start(self.report, event.assoc, reports, 0.05)
            elif self.way == "reverse":
                self._start(self.call, reports)
            else:
                self.owed += reports
        return status, None

    def established(self, event):
        """Report what is owed, at once: the other end has just heard that it is accepted."""
        owed, self.owed = self.owed, []
        if owed:
            self._start(self.report, event.assoc, owed, 0)

    def _start(self, what, *arguments):
        self.threads.append(threading.Thread(target=what, args=arguments))
        self.threads[-1].start()

    def report(self, association, reports, wait=0.0):
        threading.Event().wait(wait)
        for event_type, data in reports:
            with self.speaking:
                answer, _ = association.send_n_event_report(
                    data, event_type, PUSH_MODEL, WELL_KNOWN
                )
            self.answered.append(answer.get("Status"))

    def call(self, reports, title="PEER"):
        """Come to whoever asked, as PS3.4 J.3.3 has it: as requestor, and the SCP."""
        entity = AE(title)
        entity.add_requested_context(PUSH_MODEL)
        role = build_role(PUSH_MODEL, scp_role=True)
        where = ("127.0.0.1", self.listener)
        association = heard(entity.associate(*where, ae_title="ME", ext_neg=[role]))
        if not association.is_established:
            self.answered.append("rejected")
            return
        self.roles += [(one.as_scu, one.as_scp) for one in association.accepted_contexts]
        self.report(association, reports)
        association.release()

    def server_associations(self):
        return self.server.active_associations

    def cut(self):
        """Break all connections, without a word."""
        for association in self.server_associations():
            association.dul.socket.close()

    def join(self):
        for thread in self.threads:
            thread.join(10)
            assert not thread.is_alive()


def promise(asked):
    return [(1, result(asked.TransactionUID, references(asked)))]


@contextlib.contextmanager
def provider(way="same", answer=None, *, port=0, **more):
    """A provider; gives it, with its `port`."""
    made = Provider(way, answer, **more)
    entity = AE("PEER")
    entity.add_supported_context(PUSH_MODEL, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_ACTION, made.act), (evt.EVT_ESTABLISHED, made.established)]
    # Not start_server: it looks for its end twice a second.
    kind = ThreadedAssociationServer
    server = entity.make_server(("127.0.0.1", port), evt_handlers=handlers, server_class=kind)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    made.server = server
    made.port = server.socket.getsockname()[1]
    try:
        yield made
        made.join()
    finally:
        socketserver.BaseServer.shutdown(server)
        server.server_close()
        thread.join()


# Fakes: a conversation that goes wrong where a good peer would not.


def read_message(talk):
    """Read the fragments of a message with a data set; returns command and data set."""
    parts = {1: b"", 0: b""}
    while True:
        body = talk.read_pdu()[6:]
        while body:
            length, _, control = struct.unpack(">LBB", body[:6])
            parts[control & 1] += body[6 : 4 + length]
            body = body[4 + length :]
            if control == 2:
                return commands.decode(parts[1]), parts[0]


def action_response(request, status=0):
    return p_data(commands.encode(commands.response_to(request, status)))


def event(data, event_type=1, **changes):
    """An N-EVENT-REPORT in P-DATA-TFs; `data` are the bytes of its data set, None: none."""
    command = {
        "AffectedSOPClassUID": PUSH_MODEL,
        "CommandField": 0x0100,
        "MessageID": 7,
        "CommandDataSetType": 0x0101 if data is None else 1,
        "AffectedSOPInstanceUID": WELL_KNOWN,
        "EventTypeID": event_type,
    }
    made = p_data(commands.encode(command | changes))
    return made if data is None else made + p_data(data, control=2)


def read_answer(talk):
    """Read the response to an event; returns its command."""
    body = talk.read_pdu()[6:]
    return commands.decode(body[6:])
