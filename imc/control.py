"""What operators see and change of the daemon itself: status, limits, and the configuration while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import trio
from pydantic import ValidationError

from imc import __version__
from imc.config import Settings, differences, is_reloadable
from imc.errors import ConfigError, RpcError
from imc.sip.flow import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """``load`` reads the configuration again, None where the daemon was not started from one; ``apply`` puts settings
    in force that differ in what can be reloaded, and says what became of the certificates. ``totals`` are the hits of
    each limit. ``started`` in unix seconds."""

    settings: Callable[[], Settings]
    load: Callable[[], Settings] | None
    apply: Callable[[Settings], str]
    statistics: Callable[[], Mapping[str, int]]
    totals: Callable[[], Mapping[str, int]]
    addresses: Callable[[], tuple[str, ...]]
    users: Callable[[], int]
    is_open: Callable[[Flow], bool]
    place: str
    started: float
    wall: Callable[[], float]

    def status(self) -> dict[str, object]:
        figures = self.statistics()
        return {
            "version": __version__,
            "started": self.started,
            "uptime": max(0.0, self.wall() - self.started),
            "listen": list(self.addresses()),
            "database": self.place,
            "rooms": figures["active_rooms"],
            "users_registered": self.users(),
            "contacts": figures["bindings"],
            "subscriptions": figures["subscriptions"],
            "connections": {"tcp": figures.get("tcp_connections", 0)},
            "waiting": figures["waiting"],
            "dead": figures["dead_letters"],
        }

    async def reload_file(self) -> dict[str, object]:
        """RpcError where the configuration is not good: all is as before then."""
        if self.load is None:
            raise RpcError("this daemon has no configuration to read again")
        try:
            read = await trio.to_thread.run_sync(self.load)
            changed, others = differences(self.settings(), read)
        except ConfigError as error:
            raise RpcError(f"Not reloaded: {error}") from error
        certificates = self.apply(with_settings(self.settings(), read, changed))
        return {"changed": changed, "needs_restart": others, "certificates": certificates}

    def limits(self) -> list[dict[str, object]]:
        limits, figures, totals = self.settings().limits, self.statistics(), self.totals()
        used = {"max_rooms": figures["active_rooms"]}
        return [
            {
                "limit": name,
                "value": getattr(limits, name),
                "used": used.get(name),
                "hits": totals.get(name),
                "reload": is_reloadable(field),
            }
            for name, field in type(limits).model_fields.items()
        ]

    def set_limit(self, limit: str, value: str) -> dict[str, object]:
        """RpcError."""
        settings = self.settings()
        fields = type(settings.limits).model_fields
        if limit not in fields:
            raise RpcError(f"there is no limit {limit[:40]!r}", status=400)
        if not is_reloadable(fields[limit]):
            raise RpcError(f"{limit} needs a restart", status=400)
        before = getattr(settings.limits, limit)
        values: dict[str, Any] = {**settings.limits.model_dump(), limit: value}
        try:
            limits = type(settings.limits).model_validate(values)
        except ValidationError as error:
            raise RpcError(f"{limit}: {error.errors()[0]['msg']}", status=400) from error
        self.apply(settings.model_copy(update={"limits": limits}))
        return {"limit": limit, "value": getattr(limits, limit), "before": before}


def with_settings(old: Settings, new: Settings, keys: list[str]) -> Settings:
    """The old settings, with these (``section.key``) of the new ones."""
    merged = old
    for key in keys:
        section, _, name = key.partition(".")
        value = getattr(getattr(new, section), name)
        merged = merged.model_copy(update={section: getattr(merged, section).model_copy(update={name: value})})
    return merged
