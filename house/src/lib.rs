//! The house rules, as tests: import directions, size budgets
