"""The model that needs no server: rules and templates behind the models' protocols."""
