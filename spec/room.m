-- Made by room_murphi.py: python spec/check_rooms.py --write Rooms of any number of users, for Rumur.
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
  Command: enum { ACCEPT, ADD, CREATE, CREATE_PRIVATE, DESTROY, HELP, HISTORY, INVITE, JOIN, LEAVE, MEMBERS, MESSAGE, MODIFY_ADMIN, MODIFY_MEMBER, MODIFY_OWNER, REJECT, REMOVE, ROOMS, SET_NEW, SET_SAME, SETTINGS, UNDELIVERED };
  Effect: enum { NOTHING, GONE, FOUNDED, FOUNDED_PRIVATE, BECOMES };
  Event: enum { SILENCE, ALREADY_JOINED, ALREADY_MEMBER, HELP_, HISTORY_, INVITATION, INVITATION_FAILED, INVITATION_REJECTED, INVITATION_SENT, INVITATION_WITHDRAWN, INVITED_HAS_NO_ROLE, JOIN_ATTEMPTED, LAST_OWNER, MEMBER_JOINED, MEMBER_LEFT, MEMBER_LIST, MESSAGE_, NOT_A_MEMBER, NOT_INVITED, NOT_PERMITTED, PRIVATE_ROOM, RANK_TOO_LOW, ROLE_CHANGED, ROLE_UNCHANGED, ROOM_CREATED, ROOM_DESTROYED, ROOM_LIST, ROOM_NOT_FOUND, ROOM_SETTINGS, SETTING_CHANGED, SETTING_UNCHANGED, USER_NOT_IN_ROOM, USE_LEAVE, YOU_WERE_REMOVED };

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

-- from here on made, not written

procedure decideACCEPT(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-ACCEPT-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_INVITED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-ACCEPT-1
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-ACCEPT-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_INVITED;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideADD(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= ADMIN then
    if standing[u] >= MEMBER then
      -- R-INVITE-3
      status := 403; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := ALREADY_MEMBER;
        endif;
      endfor;
    else
      -- R-ADD-1
      status := 200; effect := BECOMES; becomes := INVITED;
      for v: User do
        if v = a then
          heard[v] := INVITATION_SENT;
        elsif v = u then
          heard[v] := INVITATION;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-ADD-3
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-ADD-3
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideCREATE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-JOIN-5
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ALREADY_JOINED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-JOIN-2
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  elsif private then
    -- R-JOIN-4
    status := 403; effect := NOTHING;
    for v: User do
      if standing[v] >= ADMIN then
        heard[v] := JOIN_ATTEMPTED;
      elsif v = a then
        heard[v] := PRIVATE_ROOM;
      endif;
    endfor;
  elsif live then
    -- R-JOIN-1
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  else
    -- R-CREATE-1
    status := 200; effect := FOUNDED;
    for v: User do
      if v = a then
        heard[v] := ROOM_CREATED;
      endif;
    endfor;
  endif;
end;

procedure decideCREATE_PRIVATE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-JOIN-5
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ALREADY_JOINED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-JOIN-2
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  elsif private then
    -- R-JOIN-4
    status := 403; effect := NOTHING;
    for v: User do
      if standing[v] >= ADMIN then
        heard[v] := JOIN_ATTEMPTED;
      elsif v = a then
        heard[v] := PRIVATE_ROOM;
      endif;
    endfor;
  elsif live then
    -- R-JOIN-1
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  else
    -- R-CREATE-1
    status := 200; effect := FOUNDED_PRIVATE;
    for v: User do
      if v = a then
        heard[v] := ROOM_CREATED;
      endif;
    endfor;
  endif;
end;

procedure decideDESTROY(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    -- R-DESTROY-1
    status := 200; effect := GONE;
    for v: User do
      if standing[v] >= INVITED then
        heard[v] := ROOM_DESTROYED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-DESTROY-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-DESTROY-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideHELP(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  -- R-HELP-1
  status := 200; effect := NOTHING;
  for v: User do
    if v = a then
      heard[v] := HELP_;
    endif;
  endfor;
end;

procedure decideHISTORY(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-HISTORY-3
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := HISTORY_;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-HISTORY-4
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-HISTORY-4
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideINVITE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= ADMIN then
    if standing[u] >= MEMBER then
      -- R-INVITE-3
      status := 403; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := ALREADY_MEMBER;
        endif;
      endfor;
    elsif standing[u] >= INVITED then
      -- R-INVITE-2
      status := 200; effect := BECOMES; becomes := INVITED;
      for v: User do
        if v = a then
          heard[v] := INVITATION_SENT;
        elsif v = u then
          heard[v] := INVITATION;
        endif;
      endfor;
    else
      -- R-INVITE-1
      status := 200; effect := BECOMES; becomes := INVITED;
      for v: User do
        if v = a then
          heard[v] := INVITATION_SENT;
        elsif v = u then
          heard[v] := INVITATION;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-INVITE-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-INVITE-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideJOIN(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-JOIN-5
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ALREADY_JOINED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-JOIN-2
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  elsif private then
    -- R-JOIN-4
    status := 403; effect := NOTHING;
    for v: User do
      if standing[v] >= ADMIN then
        heard[v] := JOIN_ATTEMPTED;
      elsif v = a then
        heard[v] := PRIVATE_ROOM;
      endif;
    endfor;
  elsif live then
    -- R-JOIN-1
    status := 200; effect := BECOMES; becomes := MEMBER;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := MEMBER_JOINED;
      elsif v = a then
        heard[v] := MEMBER_JOINED;
      endif;
    endfor;
  else
    -- R-CREATE-1
    status := 200; effect := FOUNDED;
    for v: User do
      if v = a then
        heard[v] := ROOM_CREATED;
      endif;
    endfor;
  endif;
end;

procedure decideLEAVE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    if isLastOwner(u) then
      -- R-LEAVE-2
      status := 200; effect := GONE;
      for v: User do
        if standing[v] >= INVITED then
          heard[v] := ROOM_DESTROYED;
        endif;
      endfor;
    else
      -- R-LEAVE-1
      status := 200; effect := BECOMES; becomes := OUTSIDER;
      for v: User do
        if standing[v] >= MEMBER then
          heard[v] := MEMBER_LEFT;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-LEAVE-4
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-LEAVE-4
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideMEMBERS(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-LIST-1
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := MEMBER_LIST;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-LIST-3
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-LIST-3
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideMESSAGE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-MSG-1
    status := 202; effect := NOTHING;
    for v: User do
      if standing[v] >= MEMBER then
        if !(v = a) then
          heard[v] := MESSAGE_;
        endif;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-MSG-2
    status := 403; effect := NOTHING;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
  elsif live then
    -- R-MSG-2
    status := 403; effect := NOTHING;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
  endif;
end;

procedure decideMODIFY_ADMIN(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    if standing[u] >= MEMBER then
      if isLastOwner(u) then
        -- R-MODIFY-2
        status := 403; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := LAST_OWNER;
          endif;
        endfor;
      elsif standing[u] >= OWNER then
        -- R-MODIFY-1
        status := 200; effect := BECOMES; becomes := ADMIN;
        for v: User do
          if standing[v] >= MEMBER then
            heard[v] := ROLE_CHANGED;
          endif;
        endfor;
      elsif standing[u] >= ADMIN then
        -- R-MODIFY-5
        status := 200; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := ROLE_UNCHANGED;
          endif;
        endfor;
      else
        -- R-MODIFY-1
        status := 200; effect := BECOMES; becomes := ADMIN;
        for v: User do
          if standing[v] >= MEMBER then
            heard[v] := ROLE_CHANGED;
          endif;
        endfor;
      endif;
    elsif standing[u] >= INVITED then
      -- R-MODIFY-3
      status := 403; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := INVITED_HAS_NO_ROLE;
        endif;
      endfor;
    else
      -- R-MODIFY-4
      status := 404; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := USER_NOT_IN_ROOM;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideMODIFY_MEMBER(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    if standing[u] >= ADMIN then
      if isLastOwner(u) then
        -- R-MODIFY-2
        status := 403; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := LAST_OWNER;
          endif;
        endfor;
      else
        -- R-MODIFY-1
        status := 200; effect := BECOMES; becomes := MEMBER;
        for v: User do
          if standing[v] >= MEMBER then
            heard[v] := ROLE_CHANGED;
          endif;
        endfor;
      endif;
    elsif !(standing[u] >= INVITED) then
      -- R-MODIFY-4
      status := 404; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := USER_NOT_IN_ROOM;
        endif;
      endfor;
    elsif standing[u] >= MEMBER then
      -- R-MODIFY-5
      status := 200; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := ROLE_UNCHANGED;
        endif;
      endfor;
    else
      -- R-MODIFY-3
      status := 403; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := INVITED_HAS_NO_ROLE;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideMODIFY_OWNER(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    if standing[u] >= OWNER then
      -- R-MODIFY-5
      status := 200; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := ROLE_UNCHANGED;
        endif;
      endfor;
    elsif standing[u] >= MEMBER then
      -- R-MODIFY-1
      status := 200; effect := BECOMES; becomes := OWNER;
      for v: User do
        if standing[v] >= MEMBER then
          heard[v] := ROLE_CHANGED;
        endif;
      endfor;
    elsif standing[u] >= INVITED then
      -- R-MODIFY-3
      status := 403; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := INVITED_HAS_NO_ROLE;
        endif;
      endfor;
    else
      -- R-MODIFY-4
      status := 404; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := USER_NOT_IN_ROOM;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-MODIFY-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideREJECT(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-REJECT-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_INVITED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-REJECT-1
    status := 200; effect := BECOMES; becomes := OUTSIDER;
    for v: User do
      if v = a then
        heard[v] := INVITATION_REJECTED;
      elsif isInviter(v, u) then
        heard[v] := INVITATION_REJECTED;
      elsif standing[v] >= OWNER then
        if !(isInviterIn(u)) then
          heard[v] := INVITATION_REJECTED;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-REJECT-2
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_INVITED;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideREMOVE(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= ADMIN then
    if standing[u] >= MEMBER then
      if a = u then
        -- R-REMOVE-5
        status := 403; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := USE_LEAVE;
          endif;
        endfor;
      elsif standing[u] >= OWNER then
        -- R-REMOVE-3
        status := 403; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := RANK_TOO_LOW;
          endif;
        endfor;
      elsif standing[a] >= OWNER then
        -- R-REMOVE-1
        status := 200; effect := BECOMES; becomes := OUTSIDER;
        for v: User do
          if v = u then
            heard[v] := YOU_WERE_REMOVED;
          elsif standing[v] >= MEMBER then
            heard[v] := MEMBER_LEFT;
          endif;
        endfor;
      elsif standing[u] >= ADMIN then
        -- R-REMOVE-3
        status := 403; effect := NOTHING;
        for v: User do
          if v = a then
            heard[v] := RANK_TOO_LOW;
          endif;
        endfor;
      else
        -- R-REMOVE-1
        status := 200; effect := BECOMES; becomes := OUTSIDER;
        for v: User do
          if v = u then
            heard[v] := YOU_WERE_REMOVED;
          elsif standing[v] >= MEMBER then
            heard[v] := MEMBER_LEFT;
          endif;
        endfor;
      endif;
    elsif standing[u] >= INVITED then
      -- R-REMOVE-2
      status := 200; effect := BECOMES; becomes := OUTSIDER;
      for v: User do
        if standing[v] >= MEMBER then
          heard[v] := INVITATION_WITHDRAWN;
        elsif v = u then
          heard[v] := YOU_WERE_REMOVED;
        endif;
      endfor;
    else
      -- R-REMOVE-4
      status := 404; effect := NOTHING;
      for v: User do
        if v = a then
          heard[v] := USER_NOT_IN_ROOM;
        endif;
      endfor;
    endif;
  elsif standing[a] >= INVITED then
    -- R-REMOVE-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-REMOVE-6
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideROOMS(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  -- R-ROOMS-1
  status := 200; effect := NOTHING;
  for v: User do
    if v = a then
      heard[v] := ROOM_LIST;
    endif;
  endfor;
end;

procedure decideSET_NEW(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    -- R-SET-1
    status := 200; effect := NOTHING;
    for v: User do
      if standing[v] >= MEMBER then
        heard[v] := SETTING_CHANGED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideSET_SAME(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= OWNER then
    -- R-SET-3
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := SETTING_UNCHANGED;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        if standing[v] >= INVITED then
          heard[v] := NOT_PERMITTED;
        else
          heard[v] := NOT_A_MEMBER;
        endif;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideSETTINGS(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if standing[a] >= MEMBER then
    -- R-SET-4
    status := 200; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_SETTINGS;
      endif;
    endfor;
  elsif standing[a] >= INVITED then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  elsif private then
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  elsif live then
    -- R-SET-5
    status := 403; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := NOT_A_MEMBER;
      endif;
    endfor;
  else
    -- R-HIDE-1
    status := 404; effect := NOTHING;
    for v: User do
      if v = a then
        heard[v] := ROOM_NOT_FOUND;
      endif;
    endfor;
  endif;
end;

procedure decideUNDELIVERED(a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  if isPending(a, u, s) then
    -- R-INVITE-4
    status := 200; effect := BECOMES; becomes := OUTSIDER;
    for v: User do
      if isInviter(v, u) then
        heard[v] := INVITATION_FAILED;
      elsif standing[v] >= OWNER then
        if !(isInviterIn(u)) then
          heard[v] := INVITATION_FAILED;
        endif;
      endif;
    endfor;
  else
    -- R-INVITE-5
    status := 200; effect := NOTHING;
  endif;
end;

procedure decide(c: Command; a: User; u: User; s: Serial;
  var status: Status; var effect: Effect; var becomes: Standing; var heard: array[User] of Event);
begin
  switch c
  case ACCEPT: decideACCEPT(a, u, s, status, effect, becomes, heard);
  case ADD: decideADD(a, u, s, status, effect, becomes, heard);
  case CREATE: decideCREATE(a, u, s, status, effect, becomes, heard);
  case CREATE_PRIVATE: decideCREATE_PRIVATE(a, u, s, status, effect, becomes, heard);
  case DESTROY: decideDESTROY(a, u, s, status, effect, becomes, heard);
  case HELP: decideHELP(a, u, s, status, effect, becomes, heard);
  case HISTORY: decideHISTORY(a, u, s, status, effect, becomes, heard);
  case INVITE: decideINVITE(a, u, s, status, effect, becomes, heard);
  case JOIN: decideJOIN(a, u, s, status, effect, becomes, heard);
  case LEAVE: decideLEAVE(a, u, s, status, effect, becomes, heard);
  case MEMBERS: decideMEMBERS(a, u, s, status, effect, becomes, heard);
  case MESSAGE: decideMESSAGE(a, u, s, status, effect, becomes, heard);
  case MODIFY_ADMIN: decideMODIFY_ADMIN(a, u, s, status, effect, becomes, heard);
  case MODIFY_MEMBER: decideMODIFY_MEMBER(a, u, s, status, effect, becomes, heard);
  case MODIFY_OWNER: decideMODIFY_OWNER(a, u, s, status, effect, becomes, heard);
  case REJECT: decideREJECT(a, u, s, status, effect, becomes, heard);
  case REMOVE: decideREMOVE(a, u, s, status, effect, becomes, heard);
  case ROOMS: decideROOMS(a, u, s, status, effect, becomes, heard);
  case SET_NEW: decideSET_NEW(a, u, s, status, effect, becomes, heard);
  case SET_SAME: decideSET_SAME(a, u, s, status, effect, becomes, heard);
  case SETTINGS: decideSETTINGS(a, u, s, status, effect, becomes, heard);
  case UNDELIVERED: decideUNDELIVERED(a, u, s, status, effect, becomes, heard);
  endswitch;
end;

-- and so far

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
  rule "accept" begin step(ACCEPT, a, a, 0); endrule;
  rule "create" begin step(CREATE, a, a, 0); endrule;
  rule "create private" begin step(CREATE_PRIVATE, a, a, 0); endrule;
  rule "destroy" begin step(DESTROY, a, a, 0); endrule;
  rule "help" begin step(HELP, a, a, 0); endrule;
  rule "history" begin step(HISTORY, a, a, 0); endrule;
  rule "join" begin step(JOIN, a, a, 0); endrule;
  rule "leave" begin step(LEAVE, a, a, 0); endrule;
  rule "members" begin step(MEMBERS, a, a, 0); endrule;
  rule "message" begin step(MESSAGE, a, a, 0); endrule;
  rule "reject" begin step(REJECT, a, a, 0); endrule;
  rule "rooms" begin step(ROOMS, a, a, 0); endrule;
  rule "set new" begin step(SET_NEW, a, a, 0); endrule;
  rule "set same" begin step(SET_SAME, a, a, 0); endrule;
  rule "settings" begin step(SETTINGS, a, a, 0); endrule;
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
