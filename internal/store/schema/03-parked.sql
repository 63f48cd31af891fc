-- v2 -> v3: Parked deliveries by the time of their next attempt

-- Few deliveries are parked; they are retried by themselves, the one that is due
-- first before the others. A parked delivery always has a next_attempt_at.
CREATE INDEX pombo_delivery_parked ON pombo_delivery (webhook_id, next_attempt_at, (id + 0)) WHERE state = 'pending' AND parked;
