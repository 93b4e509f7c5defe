/*
 * One non-INVITE request between two neighbours: the client and the server transaction of imc/sip/transactions.py over
 * a network that loses, doubles, delays and reorders, or over a stream that may break. spec/check_lanes.py runs it.
 *
 * The rows are not written here: transaction_rows.pml is made from the tables in the code, and a test holds it to
 * them. What is written here is what each action does, the network, and what must hold.
 *
 * Time is in ticks of T1 (0.5 s). A timer fires on its tick; a packet of delay 0 arrives within the tick in which it
 * was sent (so it takes less than T1), one of delay d at most d ticks later. All orders of what happens in one tick
 * are tried.
 *
 * Copies of one message are alike, and delivering one may always be put off or done again. So where any number may be
 * lost, only the one that lives longest counts; where losses are counted, each is kept until it arrived or was lost.
 */

#include "transaction_rows.pml"

/* What the RFCs say, whatever the code's tables were given: RFC 3261 17.1.2.2, RFC 4320 4.1 and 4.2 */
#define RFC_F (64 * T1)
#define RFC_100 (T1 + 2 * T1 + 4 * T1)

#define NEVER 999
#define COPIES 11           /* 0, 1, 3, 7, 15, 23 ... 63 ticks after the start */
#define LOSSES 3            /* in the mode that counts them */
#define PATIENCE (RFC_100 + 1)    /* how long the service takes at most in that mode: 100 is sent before it, or not */

/* Modes. NEAR: packets take less than T1. FAR: up to T4. COUNTED: NEAR, but at most LOSSES packets are lost, and the
 * service answers. STREAM: nothing is lost but by a break of the connection; then another client than imc's own, which
 * only reports it, sends its request again by a new connection. */
#define NEAR 0
#define FAR 1
#define COUNTED 2
#define STREAM 3

#define NONE 0
#define PROVISIONAL 1
#define FINAL 2
#define TIMEOUT 3
#define FAILURE 4
#define ABANDONED 5

byte mode, delay;
short now;

/* client */
byte client_state[1], outcome, copies;
short e_at = NEVER, f_at = NEVER, k_at = NEVER, e_interval;
byte incoming;              /* kind of the response that the client looks at */
bool is_told;               /* it was passed to the client's user */

/* server */
byte server_state[1], s_answer, handed, given;
short s_at = NEVER, s_since;
bool is_waiting, was_sent;  /* the service has a request to answer; the server sent something in this step */

/* network: bit n is a packet that must arrive within n more ticks, or be lost */
int requests, provisionals, finals;
byte losses;
bool is_broken;

/* what an assertion is about: never set, they only name it in the checker's report */
bool p_once, p_one_end, p_true_end, p_told, p_late_100, p_early_100, p_late_answer, p_repeated;
bool p_prompt, p_sparing, p_quiet, p_served, p_timer, p_ends;

#define IS_LIVE (client_state[0] == C_TRYING || client_state[0] == C_PROCEEDING)
#define IS_STREAM (mode == STREAM)

inline put(packets) {
	if
	:: mode == COUNTED -> packets = packets | (1 << delay)
	:: else -> packets = 1 << delay
	fi
}

/* -- actions of the client ----------------------------------------------------------------------------------------- */

inline c_send_request(x) {
	assert(outcome == NONE || p_quiet);
	copies++;
	assert(copies <= COPIES || p_sparing);
	put(requests)
}
inline c_set_f(x) { f_at = now + TIMER_F }
inline c_set_e(x) {
	e_interval = T1;
	if
	:: IS_STREAM -> skip
	:: else -> e_at = now + T1
	fi
}
inline c_double_e(x) {
	e_interval = (2 * e_interval < T2 -> 2 * e_interval : T2);
	e_at = now + e_interval
}
inline c_set_e_to_t2(x) { e_interval = T2; e_at = now + T2 }
inline c_set_k(x) {
	e_at = NEVER; f_at = NEVER; e_interval = 0;     /* a transaction waits for one instant at most */
	k_at = (IS_STREAM -> now : now + TIMER_K)
}
inline c_deliver_response(x) {
	assert(outcome != ABANDONED || p_quiet);
	assert(outcome == NONE || p_one_end);
	is_told = true;
	if
	:: incoming == FINAL -> assert(given > 0 || p_true_end); outcome = FINAL
	:: else -> skip
	fi
}
inline c_absorb_response(x) { skip }
inline c_report_timeout(x) {
	assert(outcome != ABANDONED || p_quiet);
	assert(outcome == NONE || p_one_end);
	assert(now == RFC_F || p_timer);
	outcome = TIMEOUT
}
inline c_report_failure(x) {
	assert(outcome != ABANDONED || p_quiet);
	assert(outcome == NONE || p_one_end);
	outcome = FAILURE
}
inline c_forget(x) { e_at = NEVER; f_at = NEVER; k_at = NEVER; e_interval = 0; copies = 0 }

/* -- actions of the server ----------------------------------------------------------------------------------------- */

inline s_set_100(x) {       /* the row that makes the transaction: the service is given the request */
	handed++;
	assert(handed <= 1 || mode == FAR || p_once);
	is_waiting = true;
	s_since = now;
	s_at = now + TIMER_100
}
inline s_set_give_up(x) { s_at = s_since + TIMER_GIVE_UP }
inline s_set_j(x) { s_since = 0; s_at = now + TIMER_J }
inline s_send_trying(x) {
	assert(now >= s_since + RFC_100 || p_early_100);
	s_answer = PROVISIONAL;
	was_sent = true;
	put(provisionals)
}
inline s_send_final(x) {
	assert(now <= s_since + RFC_F || p_late_answer);
	s_answer = FINAL;
	was_sent = true;
	put(finals)
}
inline s_send_again(x) {
	was_sent = s_answer != NONE;
	if
	:: s_answer == PROVISIONAL -> put(provisionals)
	:: s_answer == FINAL -> put(finals)
	:: else -> skip
	fi
}
inline s_absorb_request(x) { skip }
inline s_discard_response(x) { skip }
inline s_forget(x) { s_at = NEVER; s_since = 0; s_answer = NONE; is_waiting = false }

/* -- the network --------------------------------------------------------------------------------------------------- */

/* Take one packet to look at: whichever it is, they are alike. It may also stay where packets are doubled. */
inline take(packets) {
	if
	:: mode <= FAR -> skip
	:: mode == COUNTED -> skip
	:: mode >= COUNTED && (packets & 1) -> packets = packets & ~1
	:: mode == COUNTED && (packets & 2) -> packets = packets & ~2
	fi
}

inline lose(packets) {
	if
	:: packets & 1 -> packets = packets & ~1
	:: packets & 2 -> packets = packets & ~2
	fi;
	losses++
}

inline receive_request() {
	if
	:: server_state[0] == S_TERMINATED -> server_state[0] = S_NEW     /* forgotten: as good as a new one */
	:: else -> skip
	fi;
	was_sent = server_state[0] == S_NEW || server_state[0] == S_TRYING;     /* nothing to repeat yet */
	server_request(0);
	assert(was_sent || p_repeated);
	was_sent = false
}

inline hear(kind) {
	incoming = kind;
	is_told = client_state[0] == C_COMPLETED                /* it has been told the end */
}
inline heard() {
	assert(is_told || p_told);
	is_told = false;
	incoming = NONE
}

#define IS_ANSWERABLE (IS_LIVE || client_state[0] == C_COMPLETED)
#define MUST_ARRIVE ((mode == COUNTED && ((requests | provisionals | finals) & 1)) || \
	(IS_STREAM && !is_broken && (requests & 1)))
#define IS_DUE (e_at <= now || f_at <= now || k_at <= now || s_at <= now || MUST_ARRIVE || \
	(mode == COUNTED && is_waiting && now >= s_since + PATIENCE))
#define IS_OVER (client_state[0] == C_TERMINATED && (server_state[0] == S_NEW || server_state[0] == S_TERMINATED) && \
	!requests && !provisionals && !finals && !is_waiting)
#define IS_LEFT_OVER ((client_state[0] == C_TERMINATED && (e_at != NEVER || f_at != NEVER || k_at != NEVER)) || \
	((server_state[0] == S_NEW || server_state[0] == S_TERMINATED) && s_at != NEVER))
#define LONGEST (3 * RFC_F + 4 * T4)

active proctype Exchange() {
	atomic {
		if
		:: mode = NEAR
		:: mode = FAR; delay = T4
		:: mode = COUNTED; delay = 1
		:: mode = STREAM
		fi;
		client_started(0);
		assert(copies == 1 || p_prompt)
	}
	do
	/* packets */
	:: atomic { requests -> take(requests); receive_request() }
	:: atomic { provisionals && IS_ANSWERABLE -> take(provisionals); hear(PROVISIONAL); client_provisional(0); heard() }
	:: atomic { finals && IS_ANSWERABLE -> take(finals); hear(FINAL); client_final(0); heard() }
	:: atomic { client_state[0] == C_TERMINATED && (provisionals || finals) -> provisionals = 0; finals = 0 }
	:: atomic { mode == COUNTED && losses < LOSSES && requests -> lose(requests) }
	:: atomic { mode == COUNTED && losses < LOSSES && provisionals -> lose(provisionals) }
	:: atomic { mode == COUNTED && losses < LOSSES && finals -> lose(finals) }
	:: atomic { IS_STREAM && !is_broken ->
		is_broken = true; requests = 0; provisionals = 0; finals = 0;
		if
		:: IS_LIVE -> client_flow_failed(0)
		:: else -> skip
		fi }
	:: atomic { IS_STREAM && is_broken && losses == 0 && now < RFC_F -> losses = 1; put(requests) }

	/* the two users */
	:: atomic { is_waiting || (given == 1 && server_state[0] == S_COMPLETED) ->   /* an answer, or one too many */
		is_waiting = false;
		given++;
		if
		:: server_state[0] == S_TERMINATED -> skip
		:: else -> server_final(0); was_sent = false
		fi }
	:: atomic { mode <= FAR && IS_LIVE -> outcome = ABANDONED; client_abandoned(0) }

	/* timers */
	:: atomic { IS_LIVE && e_at <= now && e_at < f_at -> client_timer_e(0) }
	:: atomic { IS_LIVE && f_at <= now && f_at <= e_at -> client_timer_f(0) }
	:: atomic { client_state[0] == C_COMPLETED && k_at <= now -> client_timer_k(0) }
	:: atomic { server_state[0] == S_TRYING && s_at <= now -> server_timer_100(0); was_sent = false }
	:: atomic { server_state[0] == S_PROCEEDING && s_at <= now -> server_timer_give_up(0) }
	:: atomic { server_state[0] == S_COMPLETED && s_at <= now -> server_timer_j(0) }

	/* time */
	:: atomic { !IS_DUE && !IS_OVER ->
		assert(server_state[0] != S_TRYING || now < s_since + RFC_100 || p_late_100);
		assert(server_state[0] != S_PROCEEDING || s_answer != NONE || p_late_100);
		assert(!IS_LIVE || now < RFC_F || p_timer);
		now++;
		assert(now < LONGEST || p_ends);
		requests = requests >> 1; provisionals = provisionals >> 1; finals = finals >> 1 }
	:: atomic { IS_OVER -> break }
	:: atomic { IS_LEFT_OVER -> assert(p_ends) }
	od;
	assert(outcome != NONE || p_one_end);
	assert(outcome == FINAL || mode != COUNTED || p_served);
	assert(handed > 0 || outcome != FINAL || p_true_end)
}
