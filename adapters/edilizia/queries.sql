-- name: operazione
-- What was done under one of our keys.
SELECT "OPERAZIONE" AS operazione, "IMPRONTA" AS impronta, "RISPOSTA" AS risposta
FROM snodo_operazioni WHERE "IDCOMUNE" = :comune AND "UUID" = :uuid;

-- name: segna-operazione
INSERT INTO snodo_operazioni ("IDCOMUNE", "UUID", "OPERAZIONE", "IMPRONTA", "RISPOSTA")
VALUES (:comune, :uuid, :operazione, :impronta, :risposta);

-- name: prendi-numeri
-- Takes ids for all tables at once. Always the same rows in the same order: callers queue up at the first and never deadlock.
-- The casts tell PostgreSQL the types of values that stand in several places. Ids given behind our back (the office's own program) are seen through MAX.
INSERT INTO contatori ("IDCOMUNE", "TABELLA", "VALORE", "QUANTI") VALUES
 (CAST(:comune AS varchar), 'istanze', (SELECT COALESCE(MAX("CODICEISTANZA"), 0) FROM istanze WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:istanze AS integer), CAST(:istanze AS integer)),
 (CAST(:comune AS varchar), 'istanzerichiedenti', (SELECT COALESCE(MAX("CODICERICHIEDENTE"), 0) FROM istanzerichiedenti WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:richiedenti AS integer), CAST(:richiedenti AS integer)),
 (CAST(:comune AS varchar), 'istanzemappali', (SELECT COALESCE(MAX("IDMAPPALE"), 0) FROM istanzemappali WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:mappali AS integer), CAST(:mappali AS integer)),
 (CAST(:comune AS varchar), 'istanzeoneri', (SELECT COALESCE(MAX("ID"), 0) FROM istanzeoneri WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:oneri AS integer), CAST(:oneri AS integer)),
 (CAST(:comune AS varchar), 'documentiistanza', (SELECT COALESCE(MAX("ID"), 0) FROM documentiistanza WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:documenti AS integer), CAST(:documenti AS integer)),
 (CAST(:comune AS varchar), 'movimenti', (SELECT COALESCE(MAX("CODICEMOVIMENTO"), 0) FROM movimenti WHERE "IDCOMUNE" = CAST(:comune AS varchar)) + CAST(:movimenti AS integer), CAST(:movimenti AS integer))
ON CONFLICT ("IDCOMUNE", "TABELLA") DO UPDATE SET "QUANTI" = excluded."QUANTI",
 "VALORE" = CASE WHEN contatori."VALORE" + excluded."QUANTI" > excluded."VALORE" THEN contatori."VALORE" + excluded."QUANTI" ELSE excluded."VALORE" END
RETURNING "TABELLA" AS tabella, "VALORE" AS valore;

-- name: apri-istanza
INSERT INTO istanze ("IDCOMUNE", "CODICEISTANZA", "NUMEROISTANZA", "CODICEPRATICATEL", "UUID", "CODICEPROCEDIMENTO", "OGGETTO", "Indirizzo",
 "NUMEROPROTOCOLLO", "annoprotocollo", "DATAPROTOCOLLO", "DATA", "CHIUSURA", "CODICECATASTO", "FOGLIO", "PARTICELLA", "SUB", "SEZIONE")
VALUES (:comune, :id, :numero, :istanza, :uuid, :procedimento, :oggetto, :indirizzo,
 :protocollo, :anno, :data_protocollo, :data, 'APERTA', :catasto, :foglio, :particella, :sub, :sezione);

-- name: aggiungi-richiedente
INSERT INTO istanzerichiedenti ("IDCOMUNE", "CODICERICHIEDENTE", "CODICEISTANZA", "CODICEFISCALE", "Cognome", "Nome")
VALUES (:comune, :id, :pratica, :codice_fiscale, :cognome, :nome);

-- name: aggiungi-mappali
INSERT INTO istanzemappali ("IDCOMUNE", "IDMAPPALE", "FKCODICEISTANZA", "CODICECATASTO", "FOGLIO", "PARTICELLA", "SUB", "SEZIONE", "PRIMARIO")
VALUES (:comune, :id, :pratica, :catasto, :foglio, :particella, :sub, :sezione, :primario);

-- name: aggiungi-oneri
INSERT INTO istanzeoneri ("IDCOMUNE", "ID", "CODICEISTANZA", "Causale", "PREZZO", "IMPORTOPAGATO", "DATAPAGAMENTO", "NR_DOCUMENTO", "numerorata")
VALUES (:comune, :id, :pratica, :causale, :prezzo, :pagato, :data, :documento, :rata);

-- name: aggiungi-documenti
INSERT INTO documentiistanza ("IDCOMUNE", "ID", "CODICEISTANZA", "DOCUMENTO", "impronta", "Dimensione", "TIPOMIME")
VALUES (:comune, :id, :pratica, :nome, :impronta, :dimensione, :tipo);

-- name: aggiungi-movimento
INSERT INTO movimenti ("IDCOMUNE", "CODICEMOVIMENTO", "CODICEISTANZA", "TIPOMOVIMENTO", "MOVIMENTO", "ESITO", "DATA", "NUMEROPROTOCOLLO", "Riferimento")
VALUES (:comune, :id, :pratica, :tipo, :testo, 1, :data, :protocollo, :riferimento);

-- name: istanza
SELECT "CODICEISTANZA" AS id, "NUMEROISTANZA" AS pratica, "CODICEPRATICATEL" AS istanza, "UUID" AS uuid, "CODICEPROCEDIMENTO" AS procedimento,
 "OGGETTO" AS oggetto, "Indirizzo" AS indirizzo, "CHIUSURA" AS stato, "NUMEROPROTOCOLLO" AS numero, "annoprotocollo" AS anno, "DATAPROTOCOLLO" AS data_protocollo
FROM istanze WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica;

-- name: istanza-con-uuid
SELECT "CODICEISTANZA" AS id, "CODICEPRATICATEL" AS istanza, "NUMEROPROTOCOLLO" AS numero, "annoprotocollo" AS anno
FROM istanze WHERE "IDCOMUNE" = :comune AND "UUID" = :uuid;

-- name: richiedente
SELECT "CODICEFISCALE" AS codice_fiscale, "Cognome" AS cognome, "Nome" AS nome
FROM istanzerichiedenti WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica ORDER BY "CODICERICHIEDENTE";

-- name: mappali
SELECT "FOGLIO" AS foglio, "PARTICELLA" AS particella, "SUB" AS sub, "SEZIONE" AS sezione, "PRIMARIO" AS primario
FROM istanzemappali WHERE "IDCOMUNE" = :comune AND "FKCODICEISTANZA" = :pratica ORDER BY "IDMAPPALE";

-- name: oneri
SELECT "ID" AS id, "Causale" AS causale, "PREZZO" AS prezzo, "IMPORTOPAGATO" AS pagato, "DATAPAGAMENTO" AS data, "NR_DOCUMENTO" AS iuv
FROM istanzeoneri WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica ORDER BY "ID";

-- name: documenti
SELECT "DOCUMENTO" AS name, "impronta" AS sha256 FROM documentiistanza WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica ORDER BY "ID";

-- name: movimenti
SELECT "TIPOMOVIMENTO" AS tipo, "MOVIMENTO" AS testo, "DATA" AS data, "Riferimento" AS riferimento
FROM movimenti WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica ORDER BY "CODICEMOVIMENTO";

-- name: paga-oneri
UPDATE istanzeoneri SET "IMPORTOPAGATO" = "PREZZO", "DATAPAGAMENTO" = :data, "NR_DOCUMENTO" = :iuv
WHERE "IDCOMUNE" = :comune AND "ID" = :id;

-- name: annulla-istanza
UPDATE istanze SET "CHIUSURA" = 'ANNULLATA' WHERE "IDCOMUNE" = :comune AND "CODICEISTANZA" = :pratica;
