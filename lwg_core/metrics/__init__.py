"""The paper's measures (sec. 4.2) and its protocols: self-imitation and cross-imitation."""
