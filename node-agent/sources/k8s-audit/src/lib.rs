//! The Kubernetes audit source: HTTP receiver and decoder
