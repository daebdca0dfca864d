"""Template + labeling config + task -> messages. Pure: the template's source is an argument."""
