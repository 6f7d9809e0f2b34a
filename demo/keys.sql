-- Keys and indexes, after the rows are in.
ALTER TABLE journey.campaigns ADD PRIMARY KEY (campaign_id, household_id),
    ADD FOREIGN KEY (campaign_id) REFERENCES journey.campaign_descriptions;
-- No foreign key to products: 17 of the products sold are not described there.
ALTER TABLE journey.transactions ADD PRIMARY KEY (basket_id, product_id);
ALTER TABLE journey.coupon_redemptions ADD PRIMARY KEY (household_id, coupon_upc, campaign_id, redemption_date),
    ADD FOREIGN KEY (campaign_id, household_id) REFERENCES journey.campaigns;
CREATE INDEX ON journey.transactions (household_id, transaction_timestamp);
CREATE INDEX ON journey.transactions (product_id);
CREATE INDEX ON journey.campaigns (household_id);
CREATE INDEX ON journey.coupons (coupon_upc, campaign_id);
VACUUM ANALYZE journey.products, journey.demographics, journey.transactions, journey.campaign_descriptions, journey.campaigns,
    journey.coupons, journey.coupon_redemptions;
