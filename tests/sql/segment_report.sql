-- The page about a model of segments: what is on it, for whom.
SET search_path = public;
CREATE TABLE customer (id int PRIMARY KEY, spend float8, visits int, region text);
INSERT INTO customer SELECT i, 10 + i % 7 + 200 * (i % 3 = 0)::int, i % 5, CASE WHEN i % 3 = 0 THEN 'north' ELSE '<b>south' END FROM generate_series(1, 300) AS i;
SELECT count(*) FROM persona.fit_segments('seg<script>', 'customer', 'id', k => 3, features => '{spend,visits,region}');
SELECT persona.name_segment('seg<script>', 1, 'a & "b"');

CREATE FUNCTION parts(page text) RETURNS TABLE (headings text[], rings int, is_whole boolean, is_inert boolean) LANGUAGE sql AS $$
SELECT ARRAY(SELECT m[1] FROM regexp_matches(page, '<h2[^>]*>([^<]*)</h2>', 'g') AS m), (length(page) - length(replace(page, '<circle', ''))) / 7,
       page LIKE '<!doctype html>%</html>%', page NOT LIKE '%<script%' AND page NOT LIKE '%<b>south%' AND page NOT LIKE '%http:%' AND page NOT LIKE '%https:%' $$;
SELECT headings, rings, is_whole, is_inert FROM parts(persona.report('seg<script>'));
SELECT persona.report('seg<script>') = persona.report('seg<script>') AS is_the_same;
SELECT position('a &amp; ' in persona.report('seg<script>')) > 0 AS is_named;

-- With a version before, who moved.
UPDATE customer SET spend = 500 WHERE id % 10 = 0;
SELECT persona.refit('seg<script>', force => true);
SELECT headings, is_whole, is_inert FROM parts(persona.report('seg<script>'));

-- Others see what the model says, not the rows; nor does the owner who leaves them out.
CREATE ROLE report_reader;
SELECT persona.grant_model('seg<script>', 'report_reader');
SET ROLE report_reader;
SELECT position('only the owner may read' in persona.report('seg<script>')) > 0 AS says_why, position('<circle' in persona.report('seg<script>')) AS rings;
RESET ROLE;
DROP TABLE customer;
SELECT persona.report('seg<script>');
SELECT position('<circle' in persona.report('seg<script>', with_rows => false)) AS rings;
SELECT persona.report('nobody');
SELECT persona.report(NULL);
