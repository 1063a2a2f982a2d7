//! The operator: FalcoRules to bundles
