"""Both vendors simulated over HTTP: Intercom and Referral Factory, with their limits, delays and traps."""
