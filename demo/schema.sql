-- The Complete Journey: a year of a grocer's purchases, its campaigns and its coupons.
CREATE SCHEMA journey;
COMMENT ON SCHEMA journey IS 'The Complete Journey (dunnhumby / 84.51°): 2,469 households at one grocer in 2017';

CREATE TABLE journey.products (
    product_id       integer PRIMARY KEY,
    manufacturer_id  integer NOT NULL,
    department       text NOT NULL,
    brand            text NOT NULL,
    product_category text,
    product_type     text,
    package_size     text
);
COMMENT ON TABLE journey.products IS 'what is sold';
COMMENT ON COLUMN journey.products.brand IS 'National, or Private for the grocer''s own';

CREATE TABLE journey.demographics (
    household_id   integer PRIMARY KEY,
    age            text,
    income         text,
    home_ownership text,
    marital_status text,
    household_size text,
    household_comp text,
    kids_count     text
);
COMMENT ON TABLE journey.demographics IS 'the third of the households that told who they are';

CREATE TABLE journey.transactions (
    household_id          integer NOT NULL,
    store_id              integer NOT NULL,
    basket_id             bigint NOT NULL,
    product_id            integer NOT NULL,
    quantity              integer NOT NULL,
    sales_value           numeric(9,2) NOT NULL,
    retail_disc           numeric(9,2) NOT NULL,
    coupon_disc           numeric(9,2) NOT NULL,
    coupon_match_disc     numeric(9,2) NOT NULL,
    week                  smallint NOT NULL,
    transaction_timestamp timestamp NOT NULL
);
COMMENT ON TABLE journey.transactions IS 'one line per product in a basket';
COMMENT ON COLUMN journey.transactions.sales_value IS 'what the grocer received, in dollars; the customer paid coupon_disc less';
COMMENT ON COLUMN journey.transactions.quantity IS 'pieces; for fuel, thousandths of a gallon';

CREATE TABLE journey.campaign_descriptions (
    campaign_id   integer PRIMARY KEY,
    campaign_type text NOT NULL,
    start_date    date NOT NULL,
    end_date      date NOT NULL
);
COMMENT ON TABLE journey.campaign_descriptions IS 'when each campaign ran; type A sends coupons chosen per household, B and C the same to all';

CREATE TABLE journey.campaigns (
    campaign_id  integer NOT NULL,
    household_id integer NOT NULL
);
COMMENT ON TABLE journey.campaigns IS 'which household was sent which campaign';

CREATE TABLE journey.coupons (
    coupon_upc  bigint NOT NULL,
    product_id  integer NOT NULL,
    campaign_id integer NOT NULL
);
COMMENT ON TABLE journey.coupons IS 'which products a coupon of a campaign is good for; some pairs are listed twice';

CREATE TABLE journey.coupon_redemptions (
    household_id    integer NOT NULL,
    coupon_upc      bigint NOT NULL,
    campaign_id     integer NOT NULL,
    redemption_date date NOT NULL
);
COMMENT ON TABLE journey.coupon_redemptions IS 'coupons that came back';
