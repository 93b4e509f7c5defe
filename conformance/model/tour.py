"""Walks that cover every edge of a graph, each from no room on: a transition tour (the Chinese postman's, greedily).

Invariants
    The tour is a function of the graph: the same walks each time.
    Every edge of the graph is walked at least once; with ``ways`` at least one of those that they make equal.
    A walk is a path: each step starts in the state that the one before it ended in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from conformance.model.graph import NONE, Edge, Graph, representative

Walk = list[Edge]
_LONG_ENOUGH = 400  # steps; a walk ends then, where it comes by a state without a room


def tour(graph: Graph, ways: Sequence[Mapping[str, str]] = ()) -> list[Walk]:
    """The walks. ``ways`` are renamings of users: of edges that differ by them only, one is enough."""
    return _Postman(graph, ways).walks()


class _Postman:
    def __init__(self, graph: Graph, ways: Sequence[Mapping[str, str]]) -> None:
        self._graph = graph
        self._class = {edge: representative(edge, ways) if ways else edge for edge in graph}
        self._loops: dict[str, list[Edge]] = {}
        self._ways_on: dict[str, list[Edge]] = {}
        for edge, outcome in graph.items():
            stays = outcome.after == edge.state
            (self._loops if stays else self._ways_on).setdefault(edge.state, []).append(edge)
        self._left = set(self._class.values())

    def walks(self) -> list[Walk]:
        walks: list[Walk] = []
        while self._left:
            walks.append(self._walk())
        return walks

    def _walk(self) -> Walk:
        walk: Walk = []
        state = NONE
        while self._left and not (state == NONE and len(walk) >= _LONG_ENOUGH):
            walk += self._take_loops(state)
            path = self._path_to_work(state)
            if not path:
                break
            for edge in path:
                self._left.discard(self._class[edge])
            walk += path
            state = self._graph[path[-1]].after
        return walk

    def _take_loops(self, state: str) -> Walk:
        """Those edges that are left to walk and stay in the state."""
        taken: Walk = []
        for edge in self._loops.pop(state, ()):
            one = self._class[edge]
            if one in self._left:
                self._left.discard(one)
                taken.append(edge)
        return taken

    def _path_to_work(self, start: str) -> Walk:
        """The shortest path from here whose last edge is left to walk, or behind which one stays that is."""
        came: dict[str, Edge | None] = {start: None}
        queue = deque((start,))
        while queue:
            state = queue.popleft()
            for edge in self._ways_on.get(state, ()):
                if self._class[edge] in self._left:
                    return [*self._path(came, state), edge]
            if any(self._class[edge] in self._left for edge in self._loops.get(state, ())):
                return self._path(came, state)
            for edge in self._ways_on.get(state, ()):
                after = self._graph[edge].after
                if after not in came:
                    came[after] = edge
                    queue.append(after)
        return []

    @staticmethod
    def _path(came: Mapping[str, Edge | None], state: str) -> Walk:
        path: Walk = []
        edge = came[state]
        while edge is not None:
            path.append(edge)
            edge = came[edge.state]
        path.reverse()
        return path
