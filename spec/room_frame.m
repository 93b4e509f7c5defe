-- The frame of room.m. Rooms of any number of users, for Rumur.
--
-- The frame, with all laws, is written by hand (room_frame.m). What is made from the graph that Quint found for three
-- users (graph/usual.json) are decision trees that agree with every edge of it. That there are such trees, which know of
-- other users only how they stand, is what lets the model have more of them.

const
  -- check_rooms.py sets other numbers; with one serial, an invitation is told from another by its inviter alone
  USERS: 3; SERIALS: 2;
  OUTSIDER: 0; INVITED: 1; MEMBER: 2; ADMIN: 3; OWNER: 4;

type
  User: scalarset(USERS);
  Standing: 0..4;
  Serial: 0..SERIALS;
  Status: 0..999;
  Command: enum { @COMMANDS@ };
  Effect: enum { NOTHING, GONE, FOUNDED, FOUNDED_PRIVATE, BECOMES };
  Event: enum { SILENCE, @EVENTS@ };

var
  live: boolean;
  private: boolean;
  standing: array[User] of Standing;
  inviter: array[User] of User;  -- of an invitation; undefined where nobody knows
  serial: array[User] of Serial;

function isLastOwner(u: User): boolean;
begin
  if standing[u] != OWNER then return false; endif;
  return forall v: User do v = u | standing[v] != OWNER endforall;
end;

function isPending(a: User; u: User; s: Serial): boolean;
begin
  if standing[u] != INVITED | serial[u] != s then return false; endif;
  if isundefined(inviter[u]) then return false; endif;
  return inviter[u] = a;
end;

function isInviter(v: User; u: User): boolean;
begin
  if standing[u] != INVITED then return false; endif;
  if isundefined(inviter[u]) then return false; endif;
  return inviter[u] = v & standing[v] >= MEMBER;
end;

function isInviterIn(u: User): boolean;
begin
  return exists v: User do isInviter(v, u) endexists;
end;

function otherSerial(u: User): Serial;
begin
  return serial[u] = 1 ? SERIALS : 1;
end;

-- @BEGIN@
-- @END@

procedure endRoom();
begin
  live := false; private := false;
  for v: User do standing[v] := OUTSIDER; undefine inviter[v]; serial[v] := 0; endfor;
end;

procedure step(c: Command; a: User; u: User; s: Serial);
var
  status: Status; effect: Effect; becomes: Standing;
  wasLive: boolean; wasPrivate: boolean; was: array[User] of Standing;
  heard: array[User] of Event;
begin
  effect := NOTHING; becomes := OUTSIDER;
  wasLive := live; wasPrivate := private;
  for v: User do was[v] := standing[v]; heard[v] := SILENCE; endfor;
  decide(c, a, u, s, status, effect, becomes, heard);

  if effect = GONE then endRoom();
  elsif effect = FOUNDED | effect = FOUNDED_PRIVATE then
    live := true; private := effect = FOUNDED_PRIVATE; standing[a] := OWNER;
  elsif effect = BECOMES then
    standing[u] := becomes; undefine inviter[u]; serial[u] := 0;
    if becomes = INVITED then inviter[u] := a; serial[u] := s; endif;
  endif;

  assert "R-INV-1" live -> exists v: User do standing[v] = OWNER endexists;
  assert "R-INV-2" forall v: User do
    (heard[v] = MESSAGE_) = (status = 202 & v != a & was[v] >= MEMBER) endforall;
  assert "R-INV-3" (wasLive & wasPrivate & live) -> forall v: User do
    (was[v] < MEMBER & standing[v] >= MEMBER) -> (v = a & was[v] = INVITED) endforall;
  assert "R-INV-4" (wasLive & (was[a] != OWNER | c = UNDELIVERED)) -> (live & forall v: User do
    standing[v] != was[v] -> (standing[v] <= MEMBER & (was[v] >= ADMIN -> standing[v] = OUTSIDER)) endforall);
  assert "R-INV-5" (live & c != UNDELIVERED) -> forall v: User do standing[v] != was[v] -> (v = a | was[a] > was[v]
    | (was[a] = OWNER & was[v] = OWNER & (c = MODIFY_MEMBER | c = MODIFY_ADMIN))) endforall;
  assert "R-INV-6" status >= 300 -> (effect = NOTHING & forall v: User do
    v = a | heard[v] = SILENCE | (heard[v] = JOIN_ATTEMPTED & wasPrivate & was[v] >= ADMIN & was[a] = OUTSIDER) endforall);
  assert "R-INVITE-5" (c = UNDELIVERED & wasLive) -> forall v: User do was[v] != INVITED -> standing[v] = was[v] endforall;
end;

-- where to begin: no room; or one taken over from tables that do not say who invited
startstate begin endRoom(); endstartstate;
ruleset f: User; i: User; p: boolean do
  startstate begin
    endRoom();
    if f != i then live := true; private := p; standing[f] := OWNER; standing[i] := INVITED; endif;
  endstartstate;
endruleset;

ruleset a: User do
@PLAIN@
endruleset;

ruleset a: User; u: User do
  rule "invite" begin step(INVITE, a, u, otherSerial(u)); endrule;
  rule "add" begin step(ADD, a, u, otherSerial(u)); endrule;
  rule "remove" begin step(REMOVE, a, u, 0); endrule;
  rule "modify member" begin step(MODIFY_MEMBER, a, u, 0); endrule;
  rule "modify admin" begin step(MODIFY_ADMIN, a, u, 0); endrule;
  rule "modify owner" begin step(MODIFY_OWNER, a, u, 0); endrule;
endruleset;

ruleset a: User; u: User; s: 1..SERIALS do
  rule "undelivered" a != u ==> begin step(UNDELIVERED, a, u, s); endrule;
endruleset;

invariant "no room has nobody" live | forall v: User do standing[v] = OUTSIDER endforall;
