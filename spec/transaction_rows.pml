/* Made by `python spec/check_lanes.py --write-rows` from the tables in imc/sip/transactions.py: not to be edited.
 *
 * Durations are in units of T1. An event is an inline: it looks the state up, sets the next one, then does the actions,
 * in order, as imc.sip.client and imc.sip.server do. An event without a row cannot happen. */

bool p_row;

#define T1 1
#define T2 8
#define T4 10
#define TIMER_F 64
#define TIMER_J 64
#define TIMER_K 10
#define TIMER_100 7
#define TIMER_GIVE_UP 64

#define C_NEW 0
#define C_TRYING 1
#define C_PROCEEDING 2
#define C_COMPLETED 3
#define C_TERMINATED 4

inline client_started(x) {
	if
	:: client_state[x] == C_NEW -> client_state[x] = C_TRYING; c_send_request(x); c_set_f(x); c_set_e(x)
	:: else -> assert(p_row)
	fi
}

inline client_provisional(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_PROCEEDING; c_deliver_response(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_PROCEEDING; c_deliver_response(x)
	:: client_state[x] == C_COMPLETED -> client_state[x] = C_COMPLETED; c_absorb_response(x)
	:: else -> assert(p_row)
	fi
}

inline client_final(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_COMPLETED; c_deliver_response(x); c_set_k(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_COMPLETED; c_deliver_response(x); c_set_k(x)
	:: client_state[x] == C_COMPLETED -> client_state[x] = C_COMPLETED; c_absorb_response(x)
	:: else -> assert(p_row)
	fi
}

inline client_timer_e(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_TRYING; c_send_request(x); c_double_e(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_PROCEEDING; c_send_request(x); c_set_e_to_t2(x)
	:: else -> assert(p_row)
	fi
}

inline client_timer_f(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_TERMINATED; c_report_timeout(x); c_forget(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_TERMINATED; c_report_timeout(x); c_forget(x)
	:: else -> assert(p_row)
	fi
}

inline client_timer_k(x) {
	if
	:: client_state[x] == C_COMPLETED -> client_state[x] = C_TERMINATED; c_forget(x)
	:: else -> assert(p_row)
	fi
}

inline client_flow_failed(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_TERMINATED; c_report_failure(x); c_forget(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_TERMINATED; c_report_failure(x); c_forget(x)
	:: else -> assert(p_row)
	fi
}

inline client_abandoned(x) {
	if
	:: client_state[x] == C_TRYING -> client_state[x] = C_TERMINATED; c_forget(x)
	:: client_state[x] == C_PROCEEDING -> client_state[x] = C_TERMINATED; c_forget(x)
	:: else -> assert(p_row)
	fi
}

#define S_NEW 0
#define S_TRYING 1
#define S_PROCEEDING 2
#define S_COMPLETED 3
#define S_TERMINATED 4

inline server_request(x) {
	if
	:: server_state[x] == S_NEW -> server_state[x] = S_TRYING; s_set_100(x)
	:: server_state[x] == S_TRYING -> server_state[x] = S_TRYING; s_absorb_request(x)
	:: server_state[x] == S_PROCEEDING -> server_state[x] = S_PROCEEDING; s_send_again(x)
	:: server_state[x] == S_COMPLETED -> server_state[x] = S_COMPLETED; s_send_again(x)
	:: else -> assert(p_row)
	fi
}

inline server_final(x) {
	if
	:: server_state[x] == S_TRYING -> server_state[x] = S_COMPLETED; s_send_final(x); s_set_j(x)
	:: server_state[x] == S_PROCEEDING -> server_state[x] = S_COMPLETED; s_send_final(x); s_set_j(x)
	:: server_state[x] == S_COMPLETED -> server_state[x] = S_COMPLETED; s_discard_response(x)
	:: else -> assert(p_row)
	fi
}

inline server_timer_100(x) {
	if
	:: server_state[x] == S_TRYING -> server_state[x] = S_PROCEEDING; s_send_trying(x); s_set_give_up(x)
	:: else -> assert(p_row)
	fi
}

inline server_timer_give_up(x) {
	if
	:: server_state[x] == S_PROCEEDING -> server_state[x] = S_TERMINATED; s_forget(x)
	:: else -> assert(p_row)
	fi
}

inline server_timer_j(x) {
	if
	:: server_state[x] == S_COMPLETED -> server_state[x] = S_TERMINATED; s_forget(x)
	:: else -> assert(p_row)
	fi
}
