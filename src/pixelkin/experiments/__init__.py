"""The paper's data sets, protocols, tables and figures, with the baselines that its claims are measured against."""
