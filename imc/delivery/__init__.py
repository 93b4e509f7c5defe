"""Fan-out: from one committed decision to a MESSAGE for each recipient.

A `Job` is what one decision sends, and one outbox row; it holds `Dispatch`es, each one MESSAGE for many recipients.
The `Engine` puts them into lanes (one per recipient and contact, one MESSAGE in flight each, RFC 3428 §8).
"""
