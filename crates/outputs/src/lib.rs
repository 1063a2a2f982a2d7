//! Alerts to the world: encoders, queues, delivery
