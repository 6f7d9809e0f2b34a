"""Versions, rights, refits, published tables."""

from clients.calls import call
from clients.calls.standardise import AS_OF

call("activate", "SELECT persona.activate($1, $2)", "customers", 1, is_query=False)
call("activate, publish as a boolean", "SELECT persona.activate($1, $2, publish => $3)", "customers", 1, False, is_query=False)
call("drop a version", "SELECT persona.drop_version($1, $2)", "customers", 1, is_query=False)
call("drop a model", "SELECT persona.drop_model($1)", "titles", is_query=False)
call("rename a model", "SELECT persona.rename_model($1, $2)", "titles", "books", is_query=False)
call("grant and revoke", "SELECT persona.grant_model($1, $2), persona.revoke_model($3, $4, $5)", "titles", "analyst", "titles", "analyst", "use", is_query=False)
call("grant and revoke on all models", "SELECT persona.grant_models($1, $2), persona.revoke_models($3, $4, $5)", "postgres", "analyst", "postgres", "analyst", "use", is_query=False)
call("set the owner", "SELECT persona.set_owner($1, $2, $3)", "titles", "analyst", None, is_query=False)
call("refit", "SELECT persona.refit($1)", "titles", is_query=False)
call("refit, arguments by name", "SELECT persona.refit($1, force => $2, max_loss => $3, wait => $4, publish => $5)", "customers", True, 0.5, True, True, is_query=False)
call("refit, max_loss as an integer", "SELECT persona.refit($1, max_loss => $2)", "titles", 1, is_query=False)
call("publish", "SELECT * FROM persona.publish($1, $2, $3, $4)", "conversion", "new_score", "SELECT * FROM customers", "id", is_query=False)
call("publish, n, the rest NULL", "SELECT * FROM persona.publish($1, $2, $3, n => $4)", "products", "new_next", None, 2, is_query=False)
call("publish with a history", "SELECT * FROM persona.publish($1, $2, history_table => $3)", "customers", "new_segment", "new_history", is_query=False)
call("unpublish", "SELECT persona.unpublish($1, $2)", "products", "customer_next", is_query=False)
call("changes of segments", "SELECT key, from_segment, to_segment FROM persona.segment_changes($1) ORDER BY key::int LIMIT 5", "customers")
call("changes of segments since a time", "SELECT count(*) FROM persona.segment_changes($1, $2)", "customers", AS_OF)
call("changes of segments since a text", "SELECT count(*) > 0 FROM persona.segment_changes($1, since => $2)", "customers", "2025-01-01", is_untyped=True)
call("profile, the key as text", "SELECT * FROM persona.profile($1)", "7")
call("profile, the key as an integer", "SELECT * FROM persona.profile($1)", 7, literal="SELECT * FROM persona.profile('7')")
call("profile of NULL", "SELECT * FROM persona.profile($1)", None)
call("a setting of this transaction", "SELECT set_config('persona.threads', $1, $2)", "2", True)
call("algorithms of a kind", "SELECT algorithm, parameter, default_value FROM persona.algorithms WHERE kind = $1", "scorer")
