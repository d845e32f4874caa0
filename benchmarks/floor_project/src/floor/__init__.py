"""The least that a Kedro project with an Ibis table does: what any `kedro run` of this kind costs."""
