/*
 * A delivery lane: the messages of one room to one contact of one member, from the decision to the member's
 * application, with a durable outbox, a backlog of waiting rows, a network that loses, doubles and reorders, and a
 * daemon that may crash between any two steps. spec/check_lanes.py runs it.
 *
 * Other recipients are left out: that the outbox row lists them too is why it may list this one for longer. Writes are
 * committed one by one, in any order but that of one copy's, and as late as you like: so also when some of them fail and
 * are written again. When a backlog is tried again (REGISTER, Retry-After, back-off) is left open: at any time.
 *
 * The client and server transactions are the rows of the code's tables (transaction_rows.pml). Time is left out; what
 * it is needed for is what transaction.pml shows: while packets take less than T1, no copy is under way any more when
 * timer F fires, or when the recipient's timer J does.
 *
 * Troubles: a crash, a commit that fails, a packet lost for good, silence until timer F, a broken stream, a contact
 * that is gone while a copy is in flight, a refusal, a recipient that takes a repeat for a merged request, a copy that
 * has waited too long. There are at most TROUBLES of them, in any mixture and at any point; then all goes well, and everything must come to its end.
 */

#include "transaction_rows.pml"

#ifndef N
#define N 3                 /* messages, at most 3 */
#endif
#ifndef TROUBLES
#define TROUBLES 3
#endif
#ifndef KEEPS               /* 1: a message stays in the outbox until its recipient has it, or refuses it for good */
#define KEEPS 1             /* 0: it is settled as failed where there is no other way to send it */
#endif
#ifndef BOUND
#define BOUND (KEEPS -> 1 : N)      /* of the lane's queue, for what does not come from a waiting row */
#endif
#ifndef PAGE
#define PAGE 2              /* waiting rows that are read at a time */
#endif
#ifndef EXACT               /* 1: packet by packet. 0: a request that arrives is answered at once and once, and no packet */
#define EXACT 1             /* is lost but by silence: for more messages, where the exchange is not the point */
#endif

#define TRIES 4             /* of one message: one, and one more after each trouble */
#define B 12                /* branches: TRIES of each message */
#define MESSAGE_OF(b) ((b) / TRIES)
#define NOBODY N

/* What the recipient's application makes of a request, and so which final response it gives */
#define NO_VERDICT 0
#define OK 1
#define TEMPORARY 2         /* 408, 480, 5xx */
#define PERMANENT 3         /* 410, 604 */
#define MERGED 4            /* 482: it knows the same request by another branch (RFC 3261 8.2.2.2) */

/* Why a message was given up */
#define REFUSED 1           /* by its recipient, or by who is not there any more */
#define UNREACHED 2

/* what survives a crash: outbox rows, which list the recipient or do not any more, and waiting rows */
bool payload[3], listed[3], row[3];
byte row_cseq[3], next_message;

/* Where the daemon knows a copy to be: waiting on the disk, or on its way there; in the lane; in both */
#define NOWHERE 0
#define IN_LANE 1
#define WAITING 2
#define HELD 3

/* the daemon */
bool is_committed;                  /* the row of next_message is there, but its sender has no answer yet */
chan queue = [N] of { byte };       /* the lane */
byte current = NOBODY;              /* what the lane has in flight, or will send again */
byte where[3];
bool to_write[3];                   /* its waiting row is to be written, or written anew */
bool is_settled[3];                 /* its rows may go */
bool is_awake;                      /* the backlog is being read and sent */
bool is_reading, is_stale;          /* a page is being read; what is read is not the truth any more */
bool page[3];
byte cseq[3], client_state[B], in_flight;
bool is_open[B];

/* the recipient */
byte server_state[B], verdict[B], cseq_of[B];

/* the network: what is under way of each branch. A doubled packet is the one that timer E sends next. */
bool request[B], trying[B];
byte answer[B];

/* what happened, for the properties */
bool committed[3], promised[3];
byte failed[3], got[3], tries[3], unknown[3], answered[3], troubles;

/* what an assertion is about: never set, they only name it in the checker's report */
bool p_one, p_kept, p_order, p_once, p_raised, p_uncommitted, p_progress;

byte branch;                        /* the argument of what follows; used within atomic steps only */
hidden byte other;

#define MAY_FAIL (troubles < TROUBLES)
#define IS_LIVE(b) (client_state[b] == C_TRYING || client_state[b] == C_PROCEEDING)
#define IS_KNOWN(b) (server_state[b] == S_TRYING || server_state[b] == S_PROCEEDING || server_state[b] == S_COMPLETED)

#define PICK(IS) if \
	:: IS(0) -> branch = 0 :: IS(1) -> branch = 1 :: IS(2) -> branch = 2 :: IS(3) -> branch = 3 \
	:: IS(4) -> branch = 4 :: IS(5) -> branch = 5 :: IS(6) -> branch = 6 :: IS(7) -> branch = 7 \
	:: IS(8) -> branch = 8 :: IS(9) -> branch = 9 :: IS(10) -> branch = 10 :: IS(11) -> branch = 11 \
	fi

/* -- what must hold, beside p_order and p_uncommitted in hand_over, p_one in c_set_f, p_raised in begin -------------- */

/* Nothing that was promised is gone before its recipient has it, or has refused it. */
#define LOST(m) (promised[m] && !(payload[m] && (listed[m] || row[m])) && got[m] == 0 && !failed[m])
/* The recipient has a message once, and once more for each time that the daemon did not learn what became of it. */
#define TOO_OFTEN(m) (got[m] > 1 + unknown[m])
/* What is left to do, in the end nothing. */
#define OPEN(m) (payload[m] || listed[m] || row[m] || to_write[m] || is_settled[m] || where[m] != NOWHERE || \
	(promised[m] && got[m] == 0 && !failed[m]))

/* -- actions of the client transaction ----------------------------------------------------------------------------- */

inline c_send_request(x) { request[x] = true }
inline c_set_f(x) {
	is_open[x] = true;
	in_flight++;
	assert(in_flight <= 1 || p_one)
}
inline c_set_e(x) { skip }
inline c_double_e(x) { skip }
inline c_set_e_to_t2(x) { skip }
inline c_set_k(x) { close(x) }
inline c_deliver_response(x) {
	if
	:: client_state[x] == C_PROCEEDING -> skip
	:: client_state[x] == C_COMPLETED && answer[x] == OK -> settle(MESSAGE_OF(x))
	:: client_state[x] == C_COMPLETED && answer[x] == PERMANENT -> give_up(MESSAGE_OF(x), REFUSED)
	:: client_state[x] == C_COMPLETED && answer[x] == TEMPORARY ->
		raise(MESSAGE_OF(x));
		put_off(MESSAGE_OF(x), REFUSED)
	:: client_state[x] == C_COMPLETED && answer[x] == MERGED ->
		unknown[MESSAGE_OF(x)]++;       /* it has a copy; what it made of it is not known */
		raise(MESSAGE_OF(x));
		put_off(MESSAGE_OF(x), REFUSED)
	fi
}
inline raise(m) {           /* RFC 3261 8.1.3.5: with the same CSeq the repeat could be taken for merged */
	answered[m] = cseq[m] + 1;
	cseq[m]++
}
inline c_absorb_response(x) { skip }
inline c_report_timeout(x) { lost_sight_of(MESSAGE_OF(x), UNREACHED) }
inline c_report_failure(x) { lost_sight_of(MESSAGE_OF(x), UNREACHED) }
inline c_forget(x) { close(x) }

inline close(x) {
	if
	:: is_open[x] -> is_open[x] = false; in_flight--
	:: else -> skip
	fi
}

/* -- the lane ------------------------------------------------------------------------------------------------------ */

inline settle(m) {
	printf("message %d is settled\n", m);
	is_settled[m] = true;
	where[m] = NOWHERE;
	current = NOBODY;
	rest_if_empty()
}
inline give_up(m, why) {
	failed[m] = why;
	settle(m)
}
inline lost_sight_of(m, why) {
	unknown[m]++;
	if
	:: true -> skip                     /* again: by another target, or to the contact of now */
	:: true -> put_off(m, why)
	fi
}

/* -- the backlog --------------------------------------------------------------------------------------------------- */

#define IS_KEPT(m) (where[m] == WAITING || where[m] == HELD)
#define HAS_BACKLOG (IS_KEPT(0) || IS_KEPT(1) || IS_KEPT(2))
#define HAS_WAITING (where[0] == WAITING || where[1] == WAITING || where[2] == WAITING)
#define HAS_HELD (where[0] == HELD || where[1] == HELD || where[2] == HELD)
/* What memory knows and the disk does not yet */
#define IS_AHEAD(m) (to_write[m] || (is_settled[m] && row[m]))

/* It leaves memory: its row is there, or is written now. */
inline unload(m) {
	to_write[m] = to_write[m] || where[m] != HELD;
	where[m] = WAITING
}
inline unload_queue() {
	do
	:: len(queue) > 0 -> queue ? other; unload(other)
	:: else -> break
	od;
	other = 0;
	is_stale = is_reading
}
inline rest_if_empty() {
	if
	:: !HAS_BACKLOG -> is_awake = false
	:: else -> skip
	fi
}
/* The try of m has ended for now. */
inline put_off(m, why) {
	if
	:: KEEPS ->
		printf("message %d waits\n", m);
		unload(m);
		to_write[m] = true;             /* with its CSeq of now */
		unload_queue();
		current = NOBODY;
		is_awake = false
	:: else -> give_up(m, why)
	fi
}
/* m is in flight, and was repeated twice. */
inline hold(m) {
	printf("message %d is slow\n", m);
	to_write[m] = to_write[m] || where[m] != HELD;
	where[m] = HELD;
	unload_queue();
	is_awake = true
}

inline start_reading() {
	for (other : 0 .. N - 1) { page[other] = row[other] }
	other = 0;
	is_reading = true
}
inline take_page() {
	if
	:: is_awake && !is_stale ->
		for (other : 0 .. N - 1) {
			if
			:: page[other] && len(queue) < PAGE -> load(other)
			:: else -> skip
			fi
		}
	:: else -> skip
	fi;
	for (other : 0 .. N - 1) { page[other] = false }
	other = 0;
	is_reading = false;
	is_stale = false
}
inline load(m) {
	printf("message %d is read\n", m);
	where[m] = HELD;
	cseq[m] = row_cseq[m];
	queue ! m
}

#define IS_IN_FLIGHT(m) (IS_LIVE(m * TRIES) || IS_LIVE(m * TRIES + 1) || IS_LIVE(m * TRIES + 2) || IS_LIVE(m * TRIES + 3))
#define MAY_BE_SLOW (KEEPS && current != NOBODY && in_flight && (where[current] != HELD || len(queue) > 0))

active proctype Backlog() {
end:	do
	:: atomic { !is_awake && HAS_WAITING && !HAS_HELD -> is_awake = true }
	:: atomic { is_awake && !is_reading && HAS_WAITING && !HAS_HELD &&
		!IS_AHEAD(0) && !IS_AHEAD(1) && !IS_AHEAD(2) -> start_reading() }
	:: atomic { is_reading -> take_page() }
	:: atomic { MAY_BE_SLOW -> hold(current) }
	od
}

inline begin(m) {
	branch = m * TRIES + tries[m];
	tries[m]++;
	printf("message %d is sent, try %d\n", m, tries[m]);
	cseq_of[branch] = cseq[m];
	assert(cseq[m] >= answered[m] || p_raised);
	assert(client_state[branch] == C_NEW || p_once);    /* no more tries than troubles, and none of what is settled */
	client_started(branch);
	branch = 0
}

active proctype Lane() {
end:	do
	:: atomic { current == NOBODY && len(queue) > 0 -> queue ? current; begin(current) }
	:: atomic { current != NOBODY && in_flight == 0 -> begin(current) }
	od
}

/* -- actions of the recipient's server transaction ----------------------------------------------------------------- */

inline s_set_100(x) { skip }
inline s_set_give_up(x) { skip }
inline s_set_j(x) { skip }
inline s_send_trying(x) { trying[x] = IS_LIVE(x) }
inline s_send_final(x) {
	if
	:: IS_LIVE(x) -> answer[x] = verdict[x]     /* to a branch that is over it would be a stray */
	:: else -> skip
	fi
}
inline s_send_again(x) {
	if
	:: server_state[x] == S_PROCEEDING -> s_send_trying(x)
	:: else -> s_send_final(x)
	fi
}
inline s_absorb_request(x) { skip }
inline s_discard_response(x) { skip }
inline s_forget(x) {
	verdict[x] = NO_VERDICT;
	cseq_of[x] = 0;
	request[x] = false                  /* see above: none is under way when the transaction ends */
}

/* The application sees the request, takes it or not, and will say so in its answer. */
inline hand_over(x, m) {
	server_state[x] = S_NEW;
	server_request(x);
	if
	:: verdict[x] = OK;
		printf("message %d is taken\n", m);
		assert(committed[m] || p_uncommitted);
		assert(got[m] > 0 || failed[m] == REFUSED || ((m >= 1 || got[1] == 0) && (m >= 2 || got[2] == 0)) || p_order);
		got[m]++;
		assert(!TOO_OFTEN(m) || p_once)
	:: MAY_FAIL -> troubles++; verdict[x] = TEMPORARY; printf("message %d is refused for now\n", m)
	:: MAY_FAIL -> troubles++; verdict[x] = PERMANENT; printf("message %d is refused for good\n", m)
	fi
}

#define IS_SAME(b, o) (o != b && MESSAGE_OF(o) == MESSAGE_OF(b) && IS_KNOWN(o) && cseq_of[o] == cseq_of[b])
#define FIRST(b) (MESSAGE_OF(b) * TRIES)
#define IS_MERGED(b) (IS_SAME(b, FIRST(b)) || IS_SAME(b, FIRST(b) + 1) || \
	IS_SAME(b, FIRST(b) + 2) || IS_SAME(b, FIRST(b) + 3))

/* -- the network --------------------------------------------------------------------------------------------------- */

#define HAS_REQUEST(b) request[b]
#define HAS_TRYING(b) trying[b]
#define HAS_ANSWER(b) answer[b]

active proctype Arrivals() {
end:	do
	:: atomic {
		PICK(HAS_REQUEST);
		request[branch] = false;
		if
		:: IS_KNOWN(branch) -> server_request(branch)
		:: !IS_KNOWN(branch) && IS_LIVE(branch) && IS_MERGED(branch) && MAY_FAIL -> troubles++; answer[branch] = MERGED;
			printf("message %d is taken for merged\n", MESSAGE_OF(branch))
		:: !IS_KNOWN(branch) -> hand_over(branch, MESSAGE_OF(branch));
			if
			:: EXACT -> skip
			:: else -> server_final(branch)
			fi
		fi;
		branch = 0 }
	od
}

active proctype Answers() {
end:	do
	:: atomic { PICK(HAS_TRYING); client_provisional(branch); trying[branch] = false; branch = 0 }
	:: atomic {
		PICK(HAS_ANSWER);
		client_final(branch);
		client_timer_k(branch);         /* what else comes of this branch is absorbed or a stray: the same here */
		answer[branch] = NO_VERDICT;
		trying[branch] = false;
		branch = 0 }
	od
}

#define MAY_LOSE_REQUEST(b) (EXACT && MAY_FAIL && request[b])
#define MAY_LOSE_TRYING(b) (EXACT && MAY_FAIL && trying[b])
#define MAY_LOSE_ANSWER(b) (EXACT && MAY_FAIL && answer[b])

active proctype Loss() {
end:	do
	:: atomic { PICK(MAY_LOSE_REQUEST); troubles++; request[branch] = false; branch = 0 }
	:: atomic { PICK(MAY_LOSE_TRYING); troubles++; trying[branch] = false; branch = 0 }
	:: atomic { PICK(MAY_LOSE_ANSWER); troubles++; answer[branch] = NO_VERDICT; branch = 0 }
	od
}

/* -- timers, and the recipient's application ----------------------------------------------------------------------- */

#define HAS_QUIET_CLIENT(b) (EXACT && IS_LIVE(b) && !request[b])
#define MAY_LOSE_CLIENT(b) (MAY_FAIL && IS_LIVE(b))
#define HAS_UNANSWERED(b) (server_state[b] == S_TRYING || server_state[b] == S_PROCEEDING)
#define HAS_NEW_SERVER(b) (EXACT && server_state[b] == S_TRYING && IS_LIVE(b))
#define HAS_ENDING_SERVER(b) (IS_KNOWN(b) && !IS_LIVE(b))

active proctype TimerE() {
end:	do
	:: atomic { PICK(HAS_QUIET_CLIENT); client_timer_e(branch); branch = 0 }
	od
}

active proctype Application() {
end:	do
	:: atomic { PICK(HAS_UNANSWERED); server_final(branch); branch = 0 }
	od
}

active proctype ServerTimers() {
end:	do
	:: atomic { PICK(HAS_NEW_SERVER); server_timer_100(branch); branch = 0 }
	:: atomic {
		PICK(HAS_ENDING_SERVER);
		if
		:: server_state[branch] == S_COMPLETED -> server_timer_j(branch)
		:: server_state[branch] == S_PROCEEDING -> server_timer_give_up(branch)
		:: else -> server_timer_100(branch)
		fi;
		branch = 0 }
	od
}

/* -- the room: decide, commit, answer and release; the outbox ------------------------------------------------------ */

inline release(m) {         /* 202, and into the lane */
	promised[m] = true;
	printf("message %d is promised\n", m);
	assert(!LOST(m) || p_kept);
	hand_over_to_lane(m)
}
inline hand_over_to_lane(m) {
	if
	:: HAS_BACKLOG -> unload(m)
	:: !HAS_BACKLOG && len(queue) < BOUND -> where[m] = IN_LANE; queue ! m
	:: !HAS_BACKLOG && len(queue) >= BOUND -> unload(m); is_awake = true
	fi
}

active proctype Room() {
end:	do
	:: atomic { next_message < N && !is_committed ->
		is_committed = true; payload[next_message] = true; listed[next_message] = true;
		committed[next_message] = true }
	:: atomic { next_message < N && !is_committed && MAY_FAIL -> troubles++; next_message++ }   /* 503: nothing promised */
	:: atomic { is_committed -> release(next_message); next_message++; is_committed = false }
	od
}

/* Rows are written and go some time later: in a batch, and the outbox row may list other recipients. */
inline write_row(m) {
	printf("row %d is written\n", m);
	row[m] = true;
	row_cseq[m] = cseq[m];
	to_write[m] = false;
	if
	:: where[m] == WAITING -> cseq[m] = 0
	:: else -> skip
	fi
}
inline unlist(m) {
	printf("outbox row %d is emptied\n", m);
	listed[m] = false;
	payload[m] = row[m];
	forget(m)
}
inline delete_row(m) {
	printf("row %d is deleted\n", m);
	row[m] = false;
	row_cseq[m] = 0;
	payload[m] = listed[m];
	forget(m)
}
/* What is left of a message without rows is history. A branch that the recipient knows is as good as one that it
 * forgot: no copy comes after timer J (transaction.pml). Counts are reduced to what later copies could still change. */
inline forget(m) {
	assert(!LOST(m) || p_kept);
	if
	:: is_settled[m] && !listed[m] && !row[m] ->
		is_settled[m] = false;
		for (other : m * TRIES .. m * TRIES + TRIES - 1) {
			if
			:: IS_KNOWN(other) -> server_state[other] = S_TERMINATED; s_forget(other)
			:: else -> skip
			fi
		}
		other = 0;
		if
		:: got[m] > 1 -> unknown[m] = unknown[m] - (got[m] - 1); got[m] = 1
		:: else -> skip
		fi;
		tries[m] = 0;
		answered[m] = 0;
		cseq[m] = 0
	:: else -> skip
	fi
}
#define MAY_UNLIST(m) (listed[m] && !to_write[m] && (is_settled[m] || row[m]))
#define MAY_DELETE(m) (row[m] && !to_write[m] && is_settled[m])

active proctype Writer() {
end:	do
	:: atomic { to_write[0] -> write_row(0) }
	:: atomic { to_write[1] -> write_row(1) }
	:: atomic { to_write[2] -> write_row(2) }
	:: atomic { MAY_UNLIST(0) -> unlist(0) }
	:: atomic { MAY_UNLIST(1) -> unlist(1) }
	:: atomic { MAY_UNLIST(2) -> unlist(2) }
	:: atomic { MAY_DELETE(0) -> delete_row(0) }
	:: atomic { MAY_DELETE(1) -> delete_row(1) }
	:: atomic { MAY_DELETE(2) -> delete_row(2) }
	od
}

/* -- troubles ------------------------------------------------------------------------------------------------------ */

#ifndef FORGOTTEN           /* that it was given up is forgotten too: it is sent again, and may come late */
#define FORGOTTEN(m) (failed[m] -> REFUSED : 0)
#endif

/* No copy of what is over is under way any more, nor of this one. */
inline clear_network(x) {
	for (other : 0 .. B - 1) {
		if
		:: other == x || !IS_LIVE(other) -> request[other] = false; trying[other] = false; answer[other] = NO_VERDICT
		:: else -> skip
		fi
	}
	other = 0
}

/* The daemon forgets everything, and starts with what the disk holds: waiting rows, then outbox rows, in their order. */
inline crash() {
	printf("crash, and restart\n");
	for (other : 0 .. B - 1) {
		if
		:: IS_LIVE(other) -> client_state[other] = C_TERMINATED
		:: else -> skip
		fi;
		is_open[other] = false; trying[other] = false; answer[other] = NO_VERDICT
	}
	in_flight = 0;
	do
	:: len(queue) > 0 -> queue ? _
	:: else -> break
	od;
	current = NOBODY;
	is_awake = false; is_reading = false; is_stale = false;
	if
	:: is_committed -> is_committed = false; next_message++
	:: else -> skip
	fi;
	for (other : 0 .. N - 1) {
		where[other] = (row[other] -> WAITING : NOWHERE);
		to_write[other] = false; is_settled[other] = false; page[other] = false;
		cseq[other] = 0; answered[other] = 0;
		failed[other] = FORGOTTEN(other);
		if
		:: listed[other] || row[other] -> unknown[other] = unknown[other] + (tries[other] > 0)
		:: else -> skip
		fi
	}
	for (other : 0 .. N - 1) {
		if
		:: listed[other] && !row[other] -> restore(other)
		:: else -> skip
		fi
	}
	other = 0
}
inline restore(m) { hand_over_to_lane(m) }

/* It has waited too long, or its sender's Expires has passed. */
inline end_waiting(m) {
	printf("message %d has waited too long\n", m);
	failed[m] = REFUSED;
	is_settled[m] = true;
	where[m] = NOWHERE;
	rest_if_empty()
}
#define MAY_END_WAITING(m) (MAY_FAIL && !is_awake && where[m] == WAITING && row[m] && !to_write[m])

active proctype Fate() {
end:	do
	:: atomic { MAY_FAIL -> troubles++; crash() }
	:: atomic { PICK(MAY_LOSE_CLIENT); troubles++;
		printf("message %d: silence\n", MESSAGE_OF(branch));
		client_timer_f(branch); clear_network(branch); branch = 0 }
	:: atomic { PICK(MAY_LOSE_CLIENT); troubles++;
		printf("message %d: the stream is broken\n", MESSAGE_OF(branch));
		client_flow_failed(branch); clear_network(branch); branch = 0 }
	:: atomic { PICK(MAY_LOSE_CLIENT); troubles++;      /* it goes to the contact of now, or there is none */
		printf("message %d: its contact is gone\n", MESSAGE_OF(branch));
		lost_sight_of(MESSAGE_OF(branch), REFUSED);
		client_abandoned(branch);
		trying[branch] = false; answer[branch] = NO_VERDICT; branch = 0 }
	:: atomic { MAY_END_WAITING(0) -> troubles++; end_waiting(0) }
	:: atomic { MAY_END_WAITING(1) -> troubles++; end_waiting(1) }
	:: atomic { MAY_END_WAITING(2) -> troubles++; end_waiting(2) }
	od
}

/* -- the end ------------------------------------------------------------------------------------------------------- */

#define IS_DONE (next_message == N && !is_committed && current == NOBODY && len(queue) == 0 && \
	!is_reading && !is_awake && !OPEN(0) && !OPEN(1) && !OPEN(2))

active proctype Watch() {
end:	do
	:: atomic { timeout ->
		assert(!(LOST(0) || LOST(1) || LOST(2)) || p_kept);
		assert(IS_DONE || p_progress);
		break }
	od
}

#ifdef LIVE
ltl progress { <> IS_DONE }
#endif
