"""Peers that take performed procedure steps: pynetdicom's SCP, and dcmjs-dimse in Node.js."""

from __future__ import annotations

import contextlib
import json
from typing import NamedTuple

from pydicom import Dataset
from pynetdicom import AE, evt

from network_peers import free_port, program
from support import node_package

MPPS = "1.2.840.10008.3.1.2.3.3"


class Message(NamedTuple):
    service: str
    uid: str
    data: Dataset


def status(code, *, comment=None, error_id=None):
    made = Dataset()
    made.Status = code
    if comment is not None:
        made.ErrorComment = comment
    if error_id is not None:
        made.ErrorID = error_id
    return made


@contextlib.contextmanager
def ris(answers=(), *, talk=None):
    """pynetdicom's SCP of steps; gives its port and the list of what it was sent.

    It answers with `answers` one after the other, then with success. `talk` may do anything to the
    event of a message, before its answer.
    """
    seen, left = [], list(answers)

    def take(event, service, data, uid):
        data.decode()
        seen.append(Message(service, str(uid), data))
        if talk is not None:
            talk(event)
        return (left.pop(0) if left else 0x0000), Dataset()

    def created(event):
        request = event.request
        return take(event, "N-CREATE", event.attribute_list, request.AffectedSOPInstanceUID)

    def changed(event):
        request = event.request
        return take(event, "N-SET", event.modification_list, request.RequestedSOPInstanceUID)

    entity = AE("RIS")
    entity.add_supported_context(MPPS)
    handlers = [(evt.EVT_N_CREATE, created), (evt.EVT_N_SET, changed)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield server.socket.getsockname()[1], seen
    finally:
        server.shutdown()


_DCMJS = """
const d = require('dcmjs-dimse'), fs = require('fs');
const { NCreateResponse, NSetResponse } = d.responses;
const { Status, PresentationContextResult, SopClass, TransferSyntax } = d.constants;
d.log.level = 'error';
const steps = {};
class Ris extends d.Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const fits = context.getAbstractSyntaxUid() === '1.2.840.10008.3.1.2.3.3';
      const chosen = context.getTransferSyntaxUids().includes(process.argv[4]) && process.argv[4];
      context.setResult(fits && chosen ? PresentationContextResult.Accept
        : PresentationContextResult.RejectAbstractSyntaxNotSupported, chosen || undefined);
    }
    this.sendAssociationAccept();
  }
  take(request, response, uid, service) {
    const known = uid in steps;
    if ((service === 'N-CREATE') === known) {
      response.setStatus(known ? Status.DuplicateSOPInstance : Status.NoSuchObjectInstance);
    } else {
      steps[uid] = Object.assign(steps[uid] || {}, request.getDataset().getElements());
      response.setStatus(Status.Success);
    }
    fs.appendFileSync(process.argv[3], JSON.stringify(
      { service, uid, data: request.getDataset().getElements() }) + '\\n');
    return response;
  }
  nCreateRequest(request, callback) {
    const response = NCreateResponse.fromRequest(request);
    callback(this.take(request, response, request.getAffectedSopInstanceUid(), 'N-CREATE'));
  }
  nSetRequest(request, callback) {
    const response = NSetResponse.fromRequest(request);
    callback(this.take(request, response, request.getRequestedSopInstanceUid(), 'N-SET'));
  }
  associationReleaseRequested() { this.sendAssociationReleaseResponse(); }
}
new d.Server(Ris).listen(parseInt(process.argv[2]));
"""


@contextlib.contextmanager
def dcmjs(folder, syntax):
    """dcmjs-dimse's SCP; gives its port, and a function that returns what it was sent."""
    node_package("dcmjs-dimse")
    script, log, port = folder / "ris.js", folder / "seen.jsonl", free_port()
    script.write_text(_DCMJS)
    log.touch()

    def seen():
        return [json.loads(line) for line in log.read_text().splitlines()]

    with program("node", script, port, log, syntax, port=port):
        yield port, seen
