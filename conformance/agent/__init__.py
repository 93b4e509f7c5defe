"""SIP user agents, for whoever talks to a server from outside. Of imc they use the SIP layer alone."""
