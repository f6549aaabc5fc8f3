"""Whose requests a connection takes: by policy those of the User whose certificate it has shown."""

from __future__ import annotations

from dataclasses import dataclass

from sr_engine.configuration import Bound, UserDirectory
from sr_engine.peers import Peer
from sr_engine.pipeline.process import Over


@dataclass(frozen=True, slots=True)
class Binding:
    """The rule (`policy.toml`, `connections.bound_to`)."""

    bound_to: Bound
    users: UserDirectory

    def of(self, peer: Peer) -> Over:
        """What holds for the messages of a connection."""
        return lambda signer: self.objection(peer, signer)

    def objection(self, peer: Peer, signer: str) -> str | None:
        """What speaks against a message that `signer` has signed, or asks for, over the connection of a peer."""
        if self.bound_to is Bound.OFF or not peer.has_certificate or peer.eui == signer:
            return None
        if peer.eui is None:
            return "the certificate that the connection has shown names no EUI-64, and so nobody's requests are taken"
        if self.bound_to is Bound.ORGANISATION and self._organisation(peer.eui) == self._organisation(signer):
            return None
        return f"the message is of {signer}, and the connection that it came over is of {peer.eui}"

    def _organisation(self, eui: str) -> object:
        """Of the User with an EUI; of others each is one of its own."""
        user = self.users.by_eui(eui)
        return eui if user is None else (user.organisation_id,)
