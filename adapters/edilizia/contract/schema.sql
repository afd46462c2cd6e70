-- The part of a municipal building office's database that Snodo reads and writes. Written by us after the shape such
-- databases have in practice; works on PostgreSQL and on SQLite. What is awkward here is awkward on purpose:
-- every key is (IDCOMUNE, id); ids are decimal(6,0) and nobody but the application gives them; names are in both cases;
-- the cadastral columns stand in istanze (the first parcel) and again in istanzemappali (all of them); FOGLIO and PARTICELLA are free text.

CREATE TABLE istanze (
    "IDCOMUNE" varchar(10) NOT NULL,
    "CODICEISTANZA" decimal(6,0) NOT NULL,
    "NUMEROISTANZA" varchar(30) NOT NULL,
    "CODICEPRATICATEL" varchar(100),
    "UUID" varchar(60),
    "CODICEPROCEDIMENTO" varchar(30) NOT NULL,
    "OGGETTO" varchar(4000) NOT NULL,
    "Indirizzo" varchar(250),
    "NUMEROPROTOCOLLO" varchar(30),
    "annoprotocollo" decimal(4,0),
    "DATAPROTOCOLLO" date,
    "DATA" date NOT NULL,
    "CHIUSURA" varchar(20) NOT NULL,
    "CODICECATASTO" varchar(5),
    "FOGLIO" varchar(50),
    "PARTICELLA" varchar(250),
    "SUB" varchar(50),
    "SEZIONE" varchar(10),
    PRIMARY KEY ("IDCOMUNE", "CODICEISTANZA"),
    UNIQUE ("IDCOMUNE", "UUID")
);

CREATE TABLE istanzerichiedenti (
    "IDCOMUNE" varchar(10) NOT NULL,
    "CODICERICHIEDENTE" decimal(6,0) NOT NULL,
    "CODICEISTANZA" decimal(6,0) NOT NULL,
    "CODICEFISCALE" varchar(16) NOT NULL,
    "Cognome" varchar(100),
    "Nome" varchar(100),
    PRIMARY KEY ("IDCOMUNE", "CODICERICHIEDENTE"),
    FOREIGN KEY ("IDCOMUNE", "CODICEISTANZA") REFERENCES istanze ("IDCOMUNE", "CODICEISTANZA")
);

CREATE TABLE istanzemappali (
    "IDCOMUNE" varchar(10) NOT NULL,
    "IDMAPPALE" decimal(6,0) NOT NULL,
    "FKCODICEISTANZA" decimal(6,0) NOT NULL,
    "CODICECATASTO" varchar(5),
    "FOGLIO" varchar(50),
    "PARTICELLA" varchar(250),
    "SUB" varchar(50),
    "SEZIONE" varchar(10),
    "PRIMARIO" decimal(1,0) NOT NULL,
    PRIMARY KEY ("IDCOMUNE", "IDMAPPALE"),
    FOREIGN KEY ("IDCOMUNE", "FKCODICEISTANZA") REFERENCES istanze ("IDCOMUNE", "CODICEISTANZA")
);

CREATE TABLE istanzeoneri (
    "IDCOMUNE" varchar(10) NOT NULL,
    "ID" decimal(6,0) NOT NULL,
    "CODICEISTANZA" decimal(6,0) NOT NULL,
    "Causale" varchar(200) NOT NULL,
    "PREZZO" decimal(11,2) NOT NULL,
    "IMPORTOPAGATO" decimal(11,2),
    "DATAPAGAMENTO" date,
    "NR_DOCUMENTO" varchar(50),
    "numerorata" decimal(3,0) NOT NULL,
    PRIMARY KEY ("IDCOMUNE", "ID"),
    FOREIGN KEY ("IDCOMUNE", "CODICEISTANZA") REFERENCES istanze ("IDCOMUNE", "CODICEISTANZA")
);

CREATE TABLE documentiistanza (
    "IDCOMUNE" varchar(10) NOT NULL,
    "ID" decimal(6,0) NOT NULL,
    "CODICEISTANZA" decimal(6,0) NOT NULL,
    "DOCUMENTO" varchar(250) NOT NULL,
    "impronta" varchar(64) NOT NULL,
    "Dimensione" decimal(12,0) NOT NULL,
    "TIPOMIME" varchar(100) NOT NULL,
    PRIMARY KEY ("IDCOMUNE", "ID"),
    FOREIGN KEY ("IDCOMUNE", "CODICEISTANZA") REFERENCES istanze ("IDCOMUNE", "CODICEISTANZA")
);

CREATE TABLE movimenti (
    "IDCOMUNE" varchar(10) NOT NULL,
    "CODICEMOVIMENTO" decimal(6,0) NOT NULL,
    "CODICEISTANZA" decimal(6,0) NOT NULL,
    "TIPOMOVIMENTO" varchar(20) NOT NULL,
    "MOVIMENTO" varchar(250) NOT NULL,
    "ESITO" decimal(1,0) NOT NULL,
    "DATA" date NOT NULL,
    "NUMEROPROTOCOLLO" varchar(30),
    "Riferimento" varchar(60),
    PRIMARY KEY ("IDCOMUNE", "CODICEMOVIMENTO"),
    FOREIGN KEY ("IDCOMUNE", "CODICEISTANZA") REFERENCES istanze ("IDCOMUNE", "CODICEISTANZA")
);

CREATE INDEX mappali_istanza ON istanzemappali ("IDCOMUNE", "FKCODICEISTANZA");
CREATE INDEX oneri_istanza ON istanzeoneri ("IDCOMUNE", "CODICEISTANZA");
CREATE INDEX richiedenti_istanza ON istanzerichiedenti ("IDCOMUNE", "CODICEISTANZA");
CREATE INDEX documenti_istanza ON documentiistanza ("IDCOMUNE", "CODICEISTANZA");
CREATE INDEX movimenti_istanza ON movimenti ("IDCOMUNE", "CODICEISTANZA");

-- The last id given in each table. A row is locked by whoever takes ids until its transaction ends.
CREATE TABLE contatori (
    "IDCOMUNE" varchar(10) NOT NULL,
    "TABELLA" varchar(30) NOT NULL,
    "VALORE" decimal(9,0) NOT NULL,
    "QUANTI" decimal(6,0) NOT NULL,
    PRIMARY KEY ("IDCOMUNE", "TABELLA")
);

-- Ours: what was done under which key, with which content, and what was answered.
CREATE TABLE snodo_operazioni (
    "IDCOMUNE" varchar(10) NOT NULL,
    "UUID" varchar(60) NOT NULL,
    "OPERAZIONE" varchar(40) NOT NULL,
    "IMPRONTA" varchar(64) NOT NULL,
    "RISPOSTA" varchar(1000) NOT NULL,
    PRIMARY KEY ("IDCOMUNE", "UUID")
);
