//! What is not code: documents, deployment, dashboards, alerts and fuzz targets agree with it.
#![cfg(feature = "service")]

#[path = "../support/mod.rs"]
mod support;

mod data_protection;
mod deployment;
mod fuzz;
mod grafana;
mod metrics_used;
mod names;
mod pages;
mod prometheus_rules;
mod status;
